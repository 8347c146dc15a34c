#!/usr/bin/env bash
# Runs the demo's first prompts on job servers that are programs of their own, and compares the bytes with Prism's in
# process. Usage: run.sh PROFUSER FOLDER prism PRISM | python PYTHON. Everything that it starts ends with it.
set -euo pipefail
profuser=$(realpath "$1") folder=$2 kind=$3 server=$4
demo=$(realpath "$(dirname "$0")/../../../data")
rm -rf "$folder" && mkdir -p "$folder/tmp" && cd "$folder"
export TMPDIR=$PWD/tmp
job=18173 pool=18150
started=()
cleanup() {
	for pid in "${started[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
	sleep 1
	for pid in "${started[@]}"; do kill -9 -- "-$pid" 2>/dev/null || true; done
	left=$(pgrep -f "provision_endpoint=.*" -a | grep -F "$profuser" || true)
	test -z "$left" || { echo "workers are left: $left" >&2; exit 1; }
	ls -A tmp | grep -v '^staged$\|^stage$' && { echo "files are left in $PWD/tmp" >&2; exit 1; }
	cd / && rm -rf "$OLDPWD/tmp"
}
trap cleanup EXIT
start() { # a process group of its own
	setsid "$@" >>server.log 2>&1 &
	started+=($!)
}
head -40 "$demo/prompts.jsonl" >prompts.jsonl
head -6 "$demo/heldout.jsonl" >items.jsonl
cat >fusion.yaml <<-Y
	version: 1
	prompts: {files: [prompts.jsonl], part_rows: 8}
	models:
	  - {name: target, path: $demo/models/target}
	  - {name: sage, path: $demo/models/sage}
	  - {name: judge-a, path: $demo/models/judge-a}
	target: {model: target}
	sources: [sage]
	generate: {temperature: 0.5, max_new_tokens: 24}
	reward: {models: [judge-a]}
	evaluate: {files: [items.jsonl], max_new_tokens: 16}
	runner: {retry_wait: 100ms, stall: 20s}
Y
sums() { (cd "$1" && find . -name '*.parquet' -o -name '_MANIFEST*' | sort | xargs sha256sum); }
same() { diff <(sums plain) <(sums "$1") >/dev/null && echo "same bytes: $1" || { echo "other bytes: $1" >&2; exit 1; }; }
remote() { # OUT, then flags
	local out=$1; shift
	local began=$SECONDS
	"$profuser" run --out "$out" --runner portable --endpoint localhost:$job "$@" >"$out.log" 2>&1 || { tail -3 "$out.log" >&2; return 1; }
	echo "$out: $((SECONDS - began)) s"
	same "$out"
}
"$profuser" run --out plain >plain.log
start "$profuser" worker-pool --address localhost:$pool
if [ "$kind" = prism ]; then
	start "$server" --job_port $job --serve_http=false --log_level warn
else
	start "$server" -m apache_beam.runners.portability.local_job_service_main -p $job --staging_dir "$PWD/tmp/stage"
fi
for _ in $(seq 100); do (echo >/dev/tcp/localhost/$job) 2>/dev/null && break; sleep 0.3; done
remote loopback
remote external --environment EXTERNAL --environment-config localhost:$pool
[ "$kind" = prism ] && remote process --environment PROCESS
# A worker is killed with kill -9 as soon as there is one; the run submits the step again.
environment=(--environment EXTERNAL --environment-config localhost:$pool)
[ "$kind" = prism ] && environment=(--environment PROCESS)
(
	for _ in $(seq 300); do
		if ls killed/generations/*/part-* >/dev/null 2>&1 && pid=$(pgrep -f "^$profuser --id=" | head -1); then kill -9 "$pid" && echo "killed worker $pid" && exit; fi
		sleep 0.05
	done
	echo "no worker was killed" >&2
) &
remote killed "${environment[@]}" --retries 5
wait $!
grep -h "retries left" killed.log || echo "(the worker had done its work)"
