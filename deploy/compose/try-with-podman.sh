#!/usr/bin/env bash
# Builds the image and runs what docker-compose.yml says with podman, where no public image can be pulled: the API
# server emulator in the place of k3s, Redis from our own image, neither Prometheus nor Grafana. Ends with 0 when every
# host of the example has its address, each health check passes, two workers took part, and Flower asks for a password.
#
#   sudo BASE=localhost/base:bookworm deploy/compose/try-with-podman.sh
#
# BASE is an image with Python 3.11 or later as python3, with its venv module; it must be there already. Needs podman
# (4.3 was tried) with its dnsname plugin and catatonit, podman-compose 1.6 and curl. BUILD_ARGS is given to the build.
set -euo pipefail
cd "$(dirname "$0")/../.."

compose() { podman-compose -f docker-compose.yml -f deploy/compose/emulator.yaml -f deploy/compose/podman.yaml "$@"; }
say() { printf '== %s\n' "$*"; }
asks_flower() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }

set -a
eval "$(sh deploy/compose/make-env.sh)"
set +a
log=$(mktemp)
end() {
    compose down --volumes >"$log" 2>&1 || true
    podman rm --force ako_worker_2 >"$log" 2>&1 || true # podman-compose forgets what was scaled
    rm -f "$log"
}
trap end EXIT

say "building the image from ${BASE:?set BASE to an image with Python 3.11 or later}"
# shellcheck disable=SC2086 # several words are meant
podman build --quiet --format docker --build-arg BASE="$BASE" ${BUILD_ARGS:-} --tag "ako-celery:$AKO_TAG" .

say "starting"
compose up -d redis kube-api avi cluster-setup >"$log" 2>&1 || { cat "$log"; exit 1; }
# Podman requires that a container which another one depends on runs; cluster-setup has ended, as it should.
compose up -d --no-deps --scale worker=2 watcher worker flower >"$log" 2>&1 || { cat "$log"; exit 1; }

say "waiting until every host has an address"
addresses() {
    curl --silent http://127.0.0.1:6443/apis/networking.k8s.io/v1/ingresses | python3 -c '
import json, sys
for ingress in json.load(sys.stdin)["items"]:
    rows = ingress.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    meta, hosts = ingress["metadata"], {rule["host"] for rule in ingress["spec"]["rules"]}
    print(meta["namespace"] + "/" + meta["name"], *[row["ip"] for row in rows])
    if {row["hostname"] for row in rows} != hosts:
        sys.exit(1)'
}
for attempt in $(seq 60); do
    addresses >"$log" && break
    [ "$attempt" -lt 60 ] || { cat "$log"; compose logs watcher worker; exit 1; }
    sleep 1
done
cat "$log"

say "asking for the health of each container"
for name in redis kube-api avi watcher worker flower; do
    podman healthcheck run "ako_${name}_1"
done

say "asking Flower"
[ "$(asks_flower http://127.0.0.1:5555/api/workers)" = 401 ] || { echo "Flower asks for no password"; exit 1; }
workers=$(curl --silent --user "$AKO_FLOWER_USER:$AKO_FLOWER_PASSWORD" 'http://127.0.0.1:5555/api/workers?refresh=1' |
    python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')
[ "$workers" = 2 ] || { echo "Flower sees $workers workers, not 2"; exit 1; }
say "done: all of it works"
