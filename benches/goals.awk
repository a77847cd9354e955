# DESIGN's goals, each with what this run found.   awk -f median.awk -f goals.awk results
BEGIN { FS = "\t" }

{
    for (f = 4; f <= 9; f++) cell[$1, $2, f] = cell[$1, $2, f] " " $f
    if ($2 ~ /^inaug/ && $6 > peak) peak = $6
}

# goal TEXT FOUND LIMIT: what was not run is not judged.
function goal(text, found, limit) {
    if (found != "") printf "| %s | <= %s | %.2f | %s |\n", text, limit, found, found + 0 <= limit + 0 ? "met" : "MISSED"
}

function value(name, tool, field) {
    return (name, tool, field) in cell ? median(cell[name, tool, field]) : ""
}

# ratio(CASE, TOOL, PEER [, PART]): wall time to the peer's, or to this part of it.
function ratio(name, tool, peer, part,    a, b) {
    a = value(name, tool, 4); b = value(name, peer, 4)
    return a == "" || b == "" ? "" : a / (b * (part ? part : 1))
}

function next_label(name,    i, best, peers, n) {
    n = split("desync bita rsync casync zsync", peers, " ")
    for (i = 1; i <= n; i++)
        if (value(name, peers[i], 4) != "" && (best == "" || value(name, peers[i], 4) < value(name, best, 4)))
            best = peers[i]
    if (best == "") return
    goal(name ": wall to the best seeded peer, " best ", no read-back", ratio(name, "inaug-blind", best), 0.45)
    goal(name ": the same with read-back", ratio(name, "inaug", best), 0.45)
    # Where desync is missing: it took 0.52 of the whole dd's time when both were measured.
    goal(name ": wall to 0.52 x dd direct, which is what desync took, no read-back", \
        ratio(name, "inaug-blind", "zstd-dd", 0.52), 0.45)
    goal(name ": MB moved", value(name, "inaug", 7), 88)
}

END {
    print "| goal | limit | found | |"
    print "|---|---|---:|---|"
    goal("cold-file: wall to curl, zstd -o, no read-back", ratio("cold-file", "inaug-blind", "curl-zstd"), 0.75)
    goal("cold-file: the same with read-back", ratio("cold-file", "inaug", "curl-zstd"), "1.00")
    goal("cold-device: wall to dd direct, no read-back", ratio("cold-device", "inaug-blind", "zstd-dd"), 0.35)
    goal("cold-device: the same with read-back", ratio("cold-device", "inaug", "zstd-dd"), "1.00")
    next_label("v2"); next_label("v2m"); next_label("v2mt")
    goal("again: objects fetched", value("again", "inaug", 9), 0)
    goal("cold-device: requests", value("cold-device", "inaug", 8), 150)
    goal("peak of all runs of inaug, MiB", peak, 64)
}
