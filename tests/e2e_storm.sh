#!/bin/bash
# The life of jobs in a short storm (tests/storm); `make storm` has longer ones.
exec "$(dirname "$0")/storm/run" "${KITH_STORM_SECONDS:-15}" "${KITH_STORM_SEED:-4}"
