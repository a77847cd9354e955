# The goals, each with what this run found.   awk -f median.awk -f tree-goals.awk results
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

function ratio(a, b) { return a == "" || b == "" ? "" : a / b }

function larger(a, b) { return a == "" || b == "" ? "" : (a + 0 > b + 0 ? a : b) }

# best(CASE, FIELD): the least of all peers.
function best(name, field,    i, n, peers, found) {
    n = split("rsync rsync-c tar-zstd casync ostree", peers, " ")
    for (i = 1; i <= n; i++)
        if (value(name, peers[i], field) != "" && (found == "" || value(name, peers[i], field) + 0 < found + 0))
            found = value(name, peers[i], field)
    return found
}

function peers(name, tool) {
    goal(name ": wall of " tool " to the fastest peer", ratio(value(name, tool, 4), best(name, 4)), "1.00")
    goal(name ": MB of " tool " to the peer that moves least", ratio(value(name, tool, 7), best(name, 7)), "1.00")
}

END {
    print "| goal | limit | found | |"
    print "|---|---|---:|---|"
    goal("v2: MB moved without diffs", value("v2", "inaug", 7), 80)
    goal("v2: MB moved with diffs", value("v2", "inaug-diffs", 7), 45)
    goal("again: wall to reading and hashing the files once, no read-back", \
        ratio(value("again", "inaug-blind", 4), value("again", "read-hash", 4)), "1.20")
    goal("again: objects fetched", value("again", "inaug", 9), 0)
    goal("cold: wall to the slower of zstd -dc and tar x, no read-back", \
        ratio(value("cold", "inaug-blind", 4), larger(value("cold", "zstd-only", 4), value("cold", "tar-only", 4))), "1.25")
    peers("cold", "inaug-blind"); peers("again", "inaug-blind"); peers("dirty", "inaug-blind")
    peers("v2", "inaug-blind"); peers("v2", "inaug-diffs-blind")
    goal("cold: requests", value("cold", "inaug", 8), 150)
    goal("peak of all runs of inaug, MiB", peak, 64)
}
