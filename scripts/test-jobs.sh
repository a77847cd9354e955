# Runs all tests of the workspace, several test programs at a time. Source it after lib.sh.
# shellcheck shell=bash

# Test programs that run at a time. More than there are processors: machines wait for firmware,
# for each other and for deadlines, and a program's last test runs alone.
crew_size=$(($(nproc) + 1))

debian_tree=debian::a_debian_tree_boots_by_systemd_boot_and_a_dirtied_one_is_made_pristine_or_the_next

# PACKAGE TARGET [OPTION...] of the test programs that take longest. They are begun first, so
# that nothing long is left for the end.
long_jobs=(
    "qemu-tests tree --exact $debian_tree"
    "qemu-tests ways"
    "qemu-tests debian"
    "qemu-tests tree --skip $debian_tree"
    "qemu-tests refuse"
    "qemu-tests disk_faults"
    "qemu-tests deploy"
    "qemu-tests crash"
    "deploy http_faults"
    "deploy install"
)

# What prints a table of what became of every fault, or what moved: it is shown.
tables=(
    "store faults"
    "store soak"
    "deploy http_faults"
    "deploy disk_faults"
    "qemu-tests disk_faults"
    "qemu-tests tree --exact $debian_tree"
    "qemu-tests crash"
)

# all_tests DIR: builds every test program, runs them, says of each how it ended. What they
# print is kept in DIR, which is empty.
all_tests() {
    local dir=$1 ended=0
    cargo test --locked --quiet --workspace --no-run
    all_jobs >"$dir/jobs"
    export -f job selected is_table count
    xargs -a "$dir/jobs" -d '\n' -P "$crew_size" -I '{}' \
        bash -c 'set -euo pipefail; job "$@"' job "$dir" '{}' "$(printf '%s\n' "${tables[@]}")" || ended=$?
    printf '\n%s passed, %s failed\n' "$(count 4 "$dir"/*.log)" "$(count 6 "$dir"/*.log)"
    [ "$ended" = 0 ] || die "tests failed: see above"
}

# Every test program of the workspace, once.
all_jobs() {
    printf '%s\n' "${long_jobs[@]}"
    cargo metadata --locked --no-deps --format-version 1 | jq -r '
        .packages[] | .name as $package | .targets[] | select(.test)
        | "\($package) \(if .kind == ["test"] then .name else "--\(.kind[0])s" end)"' |
        sort -u | grep -vxF "$(printf '%s\n' "${long_jobs[@]}" | cut -d ' ' -f 1,2)"
    echo "--workspace --doc"
}

# job DIR JOB TABLES: runs it; one line for one that ended well, everything for one that did not.
job() {
    local dir=$1 job=$2 log status=0 began=$EPOCHSECONDS words
    log=$dir/${job//[^a-z0-9_-]/+}.log
    read -ra words <<<"$job"
    if is_table "$job" "$3"; then words+=(--nocapture); fi
    # shellcheck disable=SC2046 # several words
    cargo test --locked --quiet $(selected "${words[@]:0:2}") -- "${words[@]:2}" >"$log" 2>&1 || status=$?
    # What two programs say does not mix.
    exec 9>"$dir/lock"
    flock 9
    if [ "$status" != 0 ]; then
        printf '\nFAILED  %s\n' "$job"
        cat "$log"
        return 1
    fi
    printf '%5d s  %4d passed  %s\n' $((EPOCHSECONDS - began)) "$(count 4 "$log")" "$job"
    if is_table "$job" "$3"; then cat "$log"; fi
}

# selected PACKAGE TARGET: the options by which cargo runs that and nothing else.
selected() {
    case $1 in
        --*) echo "$@" ;;
        *) case $2 in --*) echo "-p $1 ${2/--libs/--lib}" ;; *) echo "-p $1 --test $2" ;; esac ;;
    esac
}

is_table() { grep -qxF -- "$1" <<<"$2"; }

# count FIELD FILE...: the sum of that field of the tests' last lines.
count() { awk -v field="$1" '/^test result:/ { sum += $field } END { print sum + 0 }' "${@:2}"; }
