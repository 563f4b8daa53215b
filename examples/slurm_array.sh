#!/bin/bash
# A run shared by the tasks of a Slurm array: one task a GPU, on any nodes that see IMAGES and RUN.
#
#   IMAGES=/data/imagenet/val RUN=/scratch/runs/all MODEL=efficientnet-lite0 sbatch examples/slurm_array.sh
#
# All tasks give the same command: the first to come starts the run, the others join it. Slurm's time limit, a failed
# node or `scancel` lose the part at hand and no more; submit again to go on. Two minutes before the limit Slurm sends
# SIGTERM: each task finishes its part (--shard-size images), commits it and ends with exit code 0.

#SBATCH --job-name=vissum
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=%x-%A_%a.log

set -euo pipefail
: "${IMAGES:?folder, tfds:NAME/SPLIT or webdataset:PATTERN}" "${RUN:?folder or s3://bucket/run}" "${MODEL:?network}"

# `srun` so that the signal reaches the command, not this script. Since Slurm 22.05 it asks for cores of its own.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:?of a job that names --cpus-per-task}"
exec srun vissum run "$IMAGES" --model "$MODEL" --out "$RUN" --shard-size 64
