# The median of the numbers in a string, as their text.
function median(values,    sorted, n, i, j, kept) {
    n = split(values, sorted, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && sorted[j] + 0 < sorted[j - 1] + 0; j--) {
            kept = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = kept
        }
    return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}
