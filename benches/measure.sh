# One run of one tool: timed, counted at the server, and its result compared. Sourced by run.
# run and trees set work, here, program, case, round, rsync_modules, and define compare.
# shellcheck shell=bash disable=SC2154

# Four times what the slowest peer takes on a quiet machine: what takes longer is not waited for.
run_s_max=120

# measure TOOL LABEL TARGET: runs $program, which is given the same, and appends case, tool, round, wall s, CPU s, peak MiB, MB moved,
# requests, objects fetched (of inaug). A failure is noted, and does not end the run.
measure() {
    local tool=$1 label=$2 target=$3
    : >"$work/access.log"
    if ! monotonic /usr/bin/time -q -o "$work/time" -f '%U %S %M' \
        timeout "$run_s_max" "$here/$program" "$@" >"$work/stdout" 2>"$work/stderr"; then
        printf '%s\t%s\t%s\n' "$case" "$tool" "$(why_failed)" >>"$work/failed"
        return 0
    fi
    printf '%s\t%s\t%d\t%s\t%s\n' "$case" "$tool" "$round" \
        "$(awk -v wall="$(cat "$work/wall")" '{ printf "%.3f\t%.2f\t%.1f", wall, $1 + $2, $3 / 1024 }' "$work/time")" \
        "$(traffic "$tool")" >>"$work/results"
    [ "$round" -gt 1 ] || compare "$tool" "$label" "$target"
}

# The line that tells most; a tool that was killed says none.
why_failed() {
    local said
    said=$(grep -ism 1 -E 'error|fail|cannot|could not' "$work/stderr" || tail -n 1 "$work/stderr")
    echo "${said:-ended or killed after $run_s_max s without a word}"
}

# Wall time by a clock that nobody sets, in $work/wall.
monotonic() {
    perl -MTime::HiRes=clock_gettime,CLOCK_MONOTONIC -e '
        my $file = shift; my $start = clock_gettime(CLOCK_MONOTONIC);
        my $status = system @ARGV; my $end = clock_gettime(CLOCK_MONOTONIC);
        open my $wall, ">", $file or die; printf $wall "%.4f", $end - $start;
        exit($status ? 1 : 0)' "$work/wall" "$@"
}

# MB moved, requests, objects of inaug ("-" for others).
traffic() {
    case $1 in
    rsync | rsync-c) awk '/^Total bytes (sent|received)/ { gsub(",", ""); sum += $4 } END { printf "%.2f\t1\t-", sum / 1e6 }' "$work/rsync" ;;
    inaug*) served "$(sed -n 's/.*"fetched_objects": *\([0-9]*\).*/\1/p' "$work/json")" ;;
    *) served - ;;
    esac
}

# served OBJECTS: nginx has one worker, so when it has answered a last request it has logged
# all those before.
served() {
    curl -fsS -o "$work/marker" "$url/marker"
    awk -v objects="$1" '$3 != "/marker" { sum += $2; count++ } END { printf "%.2f\t%d\t%s", sum / 1e6, count, objects }' \
        "$work/access.log"
}

# Both servers end with the run.
serve() {
    echo "$work" >"$work/www/marker"
    cat >"$work/nginx.conf" <<CONF
user root;
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.err;
worker_processes 1;
events {}
http {
    log_format counted '\$status \$body_bytes_sent \$request_uri';
    access_log $work/access.log counted;
    sendfile on;
    keepalive_requests 1000000;
    server { listen 127.0.0.1:18089; root $work/www; }
}
CONF
    nginx -c "$work/nginx.conf" -e "$work/nginx.err" &
    servers=($!)
    export url=http://127.0.0.1:18089
    curl -fs -o "$work/marker" --retry 20 --retry-connrefused --retry-delay 1 "$url/marker"
    [ "$(cat "$work/marker")" = "$work" ] || die "another server answers at $url"
    cat >"$work/rsyncd.conf" <<CONF
address = 127.0.0.1
port = 18088
use chroot = no
uid = root
gid = root
CONF
    local module
    for module in "${rsync_modules[@]}"; do
        printf '[%s]\npath = %s\n' "${module%%=*}" "${module#*=}" >>"$work/rsyncd.conf"
    done
    rsync --daemon --no-detach --config="$work/rsyncd.conf" --log-file="$work/rsyncd.log" &
    servers+=($!)
}
