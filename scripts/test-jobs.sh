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
    "qemu-tests network"
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
    "qemu-tests network"
    "qemu-tests tree --exact $debian_tree"
    "qemu-tests crash"
)

# all_tests DIR: builds every test program, runs them, says of each how it ended. What they
# print is kept in DIR, which is empty.
all_tests() {
    local dir=$1 ended=0
    test_programs >"$dir/programs"
    all_jobs "$dir/programs" >"$dir/jobs"
    export -f job program is_table count
    xargs -a "$dir/jobs" -d '\n' -P "$crew_size" -I '{}' \
        bash -c 'set -euo pipefail; job "$@"' job "$dir" '{}' "$(printf '%s\n' "${tables[@]}")" || ended=$?
    printf '\n%s passed, %s failed\n' "$(count 4 "$dir"/*.log)" "$(count 6 "$dir"/*.log)"
    [ "$ended" = 0 ] || die "tests failed: see above"
}

# Builds the test programs of the workspace, all at once: by themselves packages are built with
# other features, and once more. Prints PACKAGE TARGET DIRECTORY PROGRAM of each.
test_programs() {
    cargo test --locked --quiet --workspace --no-run --message-format=json | jq -r '
        select(.reason == "compiler-artifact" and .profile.test and .executable)
        | (.manifest_path | rtrimstr("/Cargo.toml")) as $directory
        | "\($directory | split("/") | last) \(
            if .target.kind == ["test"] then .target.name else "--\(.target.kind[0])" end
        ) \($directory) \(.executable)"' | sort
}

# all_jobs PROGRAMS: every test program once; of a package's binaries all are one job.
all_jobs() {
    printf '%s\n' "${long_jobs[@]}"
    cut -d ' ' -f 1,2 "$1" | uniq |
        grep -vxF "$(printf '%s\n' "${long_jobs[@]}" | cut -d ' ' -f 1,2)"
    echo "--workspace --doc"
}

# job DIR JOB TABLES: runs it; one line for one that ended well, everything for one that did not.
job() {
    local dir=$1 job=$2 log status=0 began=$EPOCHSECONDS words
    log=$dir/${job//[^a-z0-9_-]/+}.log
    read -ra words <<<"$job"
    if is_table "$job" "$3"; then words+=(--nocapture); fi
    program "$dir/programs" "${words[@]}" >"$log" 2>&1 || status=$?
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

# program PROGRAMS PACKAGE TARGET OPTION...: runs it where cargo would.
program() {
    local directory path found=''
    if [ "$2 $3" = "--workspace --doc" ]; then
        cargo test --locked --quiet --workspace --doc
        return
    fi
    while read -r directory path; do
        found=yes
        (cd "$directory" && "$path" --quiet "${@:4}") || return 1
    done < <(sed -n "s|^$2 $3 ||p" "$1")
    [ -n "$found" ] || { echo "there is no such test program" && return 1; }
}

is_table() { grep -qxF -- "$1" <<<"$2"; }

# count FIELD FILE...: the sum of that field of the tests' last lines.
count() { awk -v field="$1" '/^test result:/ { sum += $field } END { print sum + 0 }' "${@:2}"; }
