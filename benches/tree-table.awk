# The table: medians by case and tool, and wall time as a ratio to that of rsync.
#   awk -f median.awk -f tree-table.awk tree-tools.tsv results
BEGIN { FS = "\t" }

FNR == NR { if ($1 !~ /^#/) { shown[$1] = $2; proves[$1] = $5; order[++tools] = $1 } next }

{
    if (!($1 in seen)) { seen[$1] = 1; case_order[++cases] = $1 }
    for (f = 4; f <= 8; f++) cell[$1, $2, f] = cell[$1, $2, f] " " $f
    count[$1, $2]++
}

END {
    print "| case | tool | wall s | CPU s | peak MiB | MB moved | requests | proves | wall to rsync |"
    print "|---|---|---:|---:|---:|---:|---:|---|---:|"
    for (c = 1; c <= cases; c++) {
        name = case_order[c]
        for (i = 1; i <= tools; i++) {
            t = order[i]
            if (!count[name, t]) continue
            wall = median(cell[name, t, 4])
            printf "| %s | %s | %.2f | %.2f | %.0f | %.1f | %d | %s | %s |\n", name, shown[t], wall, \
                median(cell[name, t, 5]), median(cell[name, t, 6]), median(cell[name, t, 7]), \
                median(cell[name, t, 8]), proves[t], \
                count[name, "rsync"] ? sprintf("%.2f", wall / median(cell[name, "rsync", 4])) : "-"
        }
    }
}
