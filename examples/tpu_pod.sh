#!/bin/bash
# A run shared by the hosts of a TPU pod slice: one process a host, which owns the host's chips.
#
#   TPU=my-slice ZONE=us-central2-b IMAGES=tfds:imagenet2012/validation RUN=gs://bucket/runs/all \
#     MODEL=efficientnet-lite0 examples/tpu_pod.sh
#
# Nothing is collective: hosts share the run through RUN alone, so that a host that is lost costs its part and no more.
# Give the same command again to go on. `vissum status "$RUN"` says from anywhere how far it is.

set -euo pipefail
: "${TPU:?name of the slice}" "${ZONE:?its zone}" "${IMAGES:?photographs}" "${RUN:?gs://bucket/run}" "${MODEL:?network}"

# TPU_* keep JAX from waiting for the other hosts of the slice: each is on its own. So for hosts of four chips; for hosts
# of eight (v5e, v6e) 2,4,1 and 0,1,2,3,4,5,6,7.
gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command "
  export TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=2,2,1 TPU_VISIBLE_CHIPS=0,1,2,3
  vissum run $(printf '%q' "$IMAGES") --model $(printf '%q' "$MODEL") --out $(printf '%q' "$RUN")
"
