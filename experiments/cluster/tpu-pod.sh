#!/bin/bash
# One run on every host of a Cloud TPU slice; it has been written from the documentation, and was
# not run on one. The run's directory must be on a disk that all hosts mount.
#   experiments/cluster/tpu-pod.sh NAME ZONE train --loss hinge --out /shared/runs/large
set -eu
name=$1 zone=$2
shift 2

# Each host learns its number and the first one's address from the metadata of the instance.
read -r -d '' host <<'HOST' || true
of() { curl -sf -H 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"; }
endpoints=$(of worker-network-endpoints)
first=${endpoints%%,*}
commas=${endpoints//[^,]/}
export JAX_COORDINATOR_ADDRESS="${first##*:}:8476"
export JAX_NUM_PROCESSES=$((${#commas} + 1))
JAX_PROCESS_ID=$(of agent-worker-number)
export JAX_PROCESS_ID
HOST

gcloud compute tpus tpu-vm ssh "$name" --zone "$zone" --worker=all \
    --command "$host
gan$(printf ' %q' "$@")"
