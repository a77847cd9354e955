# The table: medians by case and tool, and wall time as a ratio to the case's reference.
# The reference of a cold case is what people type; of a case with seeds the fastest peer
# that uses them.   awk -f median.awk -f table.awk tools.tsv results
BEGIN { FS = "\t" }

FNR == NR { if ($1 !~ /^#/) { shown[$1] = $2; proves[$1] = $5; order[++tools] = $1 } next }

{
    if (!($1 in seen)) { seen[$1] = 1; case_order[++cases] = $1 }
    for (f = 4; f <= 8; f++) cell[$1, $2, f] = cell[$1, $2, f] " " $f
    count[$1, $2]++
}

function reference(name,    best, i, t) {
    if (name == "cold-file") return "curl-zstd"
    if (name == "cold-device") return "zstd-dd"
    for (i = 1; i <= tools; i++) {
        t = order[i]
        if (t ~ /^(bita|rsync|casync|zsync|desync)$/ && count[name, t] &&
            (best == "" || median(cell[name, t, 4]) < median(cell[name, best, 4]))) best = t
    }
    return best
}

END {
    print "| case | tool | wall s | CPU s | peak MiB | MB moved | requests | proves | wall ratio |"
    print "|---|---|---:|---:|---:|---:|---:|---|---:|"
    for (c = 1; c <= cases; c++) {
        name = case_order[c]; base = reference(name)
        for (i = 1; i <= tools; i++) {
            t = order[i]
            if (!count[name, t]) continue
            wall = median(cell[name, t, 4])
            printf "| %s | %s | %.2f | %.2f | %.0f | %.1f | %d | %s | %s |\n", name, shown[t], wall, \
                median(cell[name, t, 5]), median(cell[name, t, 6]), median(cell[name, t, 7]), \
                median(cell[name, t, 8]), proves[t], \
                count[name, base] ? sprintf("%.2f", wall / median(cell[name, base, 4])) : "-"
        }
    }
}
