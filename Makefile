# Kith: build, test, demonstrate.
#
#   make              release build: build/kith, build/kithd, build/kith-worker (links into build/release); where nvcc is
#                     found, kith-cuda.so beside them (CUDA_ARCHS=90 for one kind of GPU, NVCC= for none)
#   make debug        the same without optimisation, into build/debug
#   make SAN=address,undefined [check]   with sanitizers, into build/san-address-undefined
#   make demo         installs what is missing, builds, runs a private network
#   make check        installs what is missing, builds, runs the tests
#   make portable     installs what is missing, builds kernels and models for 64-bit ARM and WebAssembly, and compares them
#   make crash        crashes a validator at each write, sync and rename, also while it recovers, and starts it again (minutes)
#   make ctime        keys and signing under valgrind: no branch and no address depends on a secret
#   make model        installs spin, searches every interleaving of the consensus rules (tests/model; ROUNDS=3, minutes)
#   make web-check    installs Chromium and what drives it, tries the pages in it (tests/web); make check does where it is there
#   make tidy         layers, header owners, banned calls, format, dead files
#   make format       the format that tidy asks for
#   make fuzz         libFuzzer targets (clang) into build/fuzz, everything they link with sanitizers
#   make fuzz-run SECONDS=N   each of them in turn for so long
#   make sim SEEDS=N  whole nodes on virtual time, N runs, each from its own seed (tests/sim)
#   make sim-bugs     plants bugs one by one and says which of them the simulator sees (tests/sim/bugs; hours)
#   make cuda-check   kernels for NVIDIA GPUs: compiled for all generations, no warnings, no registers in memory, opened without a driver (nvcc)
#   make gpu-check    on a machine with a GPU: the tests of equality on it; make gpu-bench: how fast it is
#   make hostile SECONDS=N   hostile peers against a live kithd, each attack for so long
#   make hostile-models FROM=SEED   thousands of damaged model files against the command
#   make storm SECONDS=120 SEED=1   many jobs over a network whose processes are killed (tests/storm)
#   make bench        measuring programs (bench/*.c) into build/release/bench
#   make deps         only installs what is missing
#   make install      programs and the default model below DESTDIR and PREFIX; make clean removes build/
#
# Parts of check, each also alone: tidy, fuzz-replay, crash-sample, ctime, e2e, unit, sim.

MODE ?= release
comma := ,
ifdef SAN
MODE := san-$(subst $(comma),-,$(SAN))
endif
B := build/$(MODE)
# For what calls make again: all processors, but where whoever called make has said how many.
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

CC       ?= gcc
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
WERROR   ?= -Werror
OPT_release := -O2 -g1 -DNDEBUG
OPT_debug   := -O0 -g3
OPT := $(or $(OPT_$(MODE)),-O1 -g)
# Contraction is off everywhere: no fused multiply-add may reach a token (docs/arithmetic.md).
CFLAGS   := -std=c11 -D_GNU_SOURCE -I. $(OPT) $(WARN) $(WERROR) -ffp-contract=off -fno-common -fstack-protector-strong -MMD -MP
LDFLAGS  := -Wl,--as-needed
SANITIZE :=
ifdef SAN
SANITIZE := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS  += $(SANITIZE)
endif
ifeq ($(MODE),fuzz)
SANITIZE := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
LDFLAGS  += -fsanitize=address,undefined,fuzzer
endif

# Layers, lowest first; a program links the archives it may use. Mains stay out of the archives.
MAINS   := node/main.c inference/worker_main.c cli/main.c
sources  = $(filter-out $(MAINS) inference/cuda/%,$(wildcard $(1)/*.c $(1)/*/*.c))
objects  = $(patsubst %.c,$(B)/obj/%.o,$(1))
LAYERS  := base chain p2p inference wallet node cli
ARCHIVES := $(foreach l,$(LAYERS),$(if $(call sources,$l),$(B)/lib$l.a))
archives = $(foreach l,$(1),$(if $(call sources,$l),$(B)/lib$l.a))
GEN     := $(B)/gen

LIBS_BASE := -lsodium -lsecp256k1 -ljansson -lpthread -lm
LIBS_NODE := -lleveldb -luv -lmicrohttpd -linih -lminiupnpc -lnatpmp -lqrencode $(LIBS_BASE)
LIBS_CLI  := -ledit -lqrencode $(LIBS_BASE)
LIBS_WORKER := -lseccomp $(LIBS_BASE)

PROGRAMS := $(if $(wildcard cli/main.c),$(B)/kith) $(if $(wildcard node/main.c),$(B)/kithd) \
            $(if $(wildcard inference/worker_main.c),$(B)/kith-worker)

.PHONY: all debug deps check unit fuzz-replay e2e demo tidy format fuzz clean install portable
all: $(PROGRAMS) links

# Where files are generated at build time (word list), includes look in $(GEN) too.
CFLAGS += -I$(GEN)

$(B)/kith: $(call objects,cli/main.c) $(call archives,cli wallet chain inference base)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_CLI)
$(B)/kithd: $(call objects,node/main.c) $(call archives,node wallet chain p2p inference base)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_NODE)
$(B)/kith-worker: $(call objects,inference/worker_main.c) $(call archives,inference base)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_WORKER)

.PHONY: links
links: $(PROGRAMS)
ifeq ($(MODE),release)
	@for p in $(notdir $(PROGRAMS)); do ln -sfn release/$$p build/$$p; done
endif

define archive_rule
$(B)/lib$(1).a: $(call objects,$(call sources,$(1)))
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call archive_rule,$l)))

# Kernel sets are compiled for their instructions, and only entered after the processor was asked. Sanitizers stay out
# of them: one function for each format and number of columns, all inlined, takes a quarter of an hour to compile with.
# What is told of an ABI concerns functions that are given vectors; they are inlined (recur_body.h).
FLAGS_x86_64_avx2        := -mavx2 -mf16c -Wno-psabi
FLAGS_x86_64_avxvnni     := $(FLAGS_x86_64_avx2) -mavxvnni
FLAGS_x86_64_avx512      := $(FLAGS_x86_64_avx2) -mavx512f -mavx512bw -mavx512vl -mavx512dq
FLAGS_x86_64_avx512_vnni := $(FLAGS_x86_64_avx512) -mavx512vnni
FLAGS_aarch64_neon_dot   := -march=armv8.2-a+dotprod
PROCESSOR := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
kernel_flags = $(FLAGS_$(1)_$(patsubst train_product_%,%,$(patsubst tile_%,%,$(patsubst rows_%,%,$(patsubst ops_%,%,$(basename $(notdir $(2))))))))
KERNELS := $(patsubst %.c,$(B)/obj/%.o,$(filter-out inference/kernels/ops_ref.c,$(wildcard $(addprefix inference/kernels/,ops_*.c tile_*.c rows_*.c))))
$(KERNELS): SANITIZE :=
$(B)/obj/inference/%.o: CFLAGS += -O3 $(call kernel_flags,$(PROCESSOR),$@)

-include Makefile.gen

$(B)/obj/%.o: %.c $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -c -o $@ $<

# -- tests: tests/test_*.c are cmocka programs, tests/e2e_*.sh run real processes --
TESTS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
MODEL_MAKE := $(addprefix tests/,gguf_make.c model_make.c model_shapes.c model_state.c)
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SUPPORT := $(call objects,tests/world.c $(MODEL_MAKE))
SUPPORT := $(call objects,$(filter-out tests/test_%.c tests/ctime.c,$(wildcard tests/*.c)))
TEST_LIBS := -lcmocka -lleveldb -luv -lmicrohttpd -linih -lminiupnpc -lnatpmp -ledit -lqrencode -lseccomp $(LIBS_BASE)
-include Makefile.cuda

# GPUs, where nvcc is found: beside the programs, opened where there is one. A build goes on without.
.PHONY: gpus
ifneq ($(and $(filter release,$(MODE)),$(NVCC)),)
all: gpus
gpus:
	@if [ -z "$(CUDA_LIB)" ]; then \
		echo "skip: no kith-cuda.so, GPUs are not used: $(NVCC) is there, libcudart_static.a is not ($(or $(CUDA_DIRS),it names no folder))"; \
	else \
		$(MAKE) --no-print-directory $(PARALLEL) $(B)/kith-cuda.so || echo "skip: no kith-cuda.so, GPUs are not used (make cuda-check says why)"; \
	fi
endif

$(B)/tests/%: $(B)/obj/tests/%.o $(SUPPORT) $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(SUPPORT) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(TEST_LIBS)
$(B)/replay/%: $(B)/obj/tests/fuzz/%.o $(B)/obj/tests/fuzz/replay.o $(FUZZ_SUPPORT) $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(B)/obj/tests/fuzz/replay.o $(FUZZ_SUPPORT) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(TEST_LIBS)

# Secrets and time: tests/ctime.c under valgrind, where it is there. A comparison that stops early must be seen.
CTIME := valgrind -q --error-exitcode=1 --suppressions=tests/ctime.supp $(B)/ctime
$(B)/ctime: $(B)/obj/tests/ctime.o $(call archives,wallet p2p base chain)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_BASE)
.PHONY: ctime
ifneq ($(and $(shell command -v valgrind 2>/dev/null),$(wildcard /usr/include/valgrind/memcheck.h)),)
ctime: $(B)/ctime
	@$(CTIME)
	@if KITH_CTIME_BAD=1 $(CTIME) >/dev/null 2>&1; then echo "ctime: a comparison that stops early was not seen"; exit 1; fi
else
ctime:
	@echo "skip: ctime needs valgrind and its headers"
endif


# -- the simulator: whole nodes on virtual time (tests/sim). What it looks at on its way is led there by the linker. --
SIM_WRAP := peer_send peer_next key_verify_hash key_sign_hash hash_add hash_once hash_end noise_put noise_get_length noise_get_body
SIM_OBJECTS := $(call objects,$(wildcard tests/sim/*.c) tests/world.c)
$(B)/sim: $(SIM_OBJECTS) $(call archives,node chain p2p base)
	$(CC) $(LDFLAGS) $(addprefix -Wl$(comma)--wrap=,$(SIM_WRAP)) -o $@ $(SIM_OBJECTS) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_NODE)
ifeq ($(MODE),release)
	@ln -sfn release/sim build/sim
endif
$(B)/tests/test_sim: $(B)/obj/tests/test_sim.o $(B)/obj/tests/sim/disk.o $(SUPPORT) $(B)/sim $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(TEST_LIBS)
# `make sim SEEDS=10000 FROM=1`: so many seeds, on all cores; `make check` runs the first 200, and a few of them twice.
SEEDS ?= 200
FROM  ?= 1
.PHONY: sim sim-bugs
# Which of the planted bugs (tests/sim/bugs) are seen, by which checker, after how many seeds: the table of docs/consensus.md.
sim-bugs:
	@scripts/plant-bugs
sim: $(B)/sim
	@$(B)/sim --quiet --jobs $(shell nproc) --seed $(FROM) --count 4 --twice
	@$(B)/sim --quiet --jobs $(shell nproc) --seed $(FROM) --count $(SEEDS)
	@$(B)/sim --quiet --jobs $(shell nproc) --seed $(FROM) --count $(shell expr \( $(SEEDS) + 9 \) / 10) --halt
	@$(B)/sim --quiet --jobs $(shell nproc) --seed $(FROM) --count $(shell expr \( $(SEEDS) + 9 \) / 10) --plant
	@$(B)/sim --quiet --jobs $(shell nproc) --seed $(FROM) --count $(shell expr \( $(SEEDS) + 9 \) / 10) --doubt

# Hostile peers against a live kithd, and what they cost honest ones (tests/hostile/hostile.c); `make check` has a short run.
$(B)/hostile: $(call objects,$(wildcard tests/hostile/*.c)) $(call archives,node chain p2p inference base)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_NODE)
.PHONY: hostile hostile-models
hostile-models: all
	@BUILD=$(B) MODELS_FLIPS=3000 MODELS_CUTS=1000000 MODELS_SEED=$(FROM) bash tests/e2e_models.sh
hostile: all $(B)/hostile
	@BUILD=$(B) HOSTILE_MS=$(SECONDS)000 HOSTILE_SEED=$(FROM) bash tests/e2e_hostile.sh

# Models that can read and write, for tests over processes (tests/talker/talker.c).
$(B)/talker: $(call objects,tests/talker/talker.c $(MODEL_MAKE)) $(call archives,inference base)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_BASE)

# Members of JSON, for the shell of tests and of the demonstration (scripts/json).
$(B)/json: $(call objects,tests/json/json.c) $(call archives,base)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_BASE)

# What a validator's disk looks like after a crash at any point (tests/crash/crash.c). These link their own peers and system calls.
CRASH := $(call objects,$(wildcard tests/crash/*.c))
$(B)/crash: $(CRASH) $(SUPPORT) $(ARCHIVES)
	$(CC) $(LDFLAGS) -o $@ $(CRASH) $(filter-out %/net.o %/cluster.o %/asker.o %/mutes.o %/blobs_stage.o %/hop_stage.o,$(SUPPORT)) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(TEST_LIBS) -ldl

# A sweep without one of our syncs must find what it costs. The log's and the signer's stand in for each other: without both a vote is
# cast twice.
.PHONY: crash crash-sample
crash: $(B)/crash
	$(B)/crash
	@for w in dirsync sync walsync signersync+walsync; do $(B)/crash --every 10 --deep 0 --without $$w || exit 1; done
crash-sample: $(B)/crash
	@$(B)/crash --every 60 --deep 12 --scene alone
	@$(B)/crash --every 60 --deep 0 --scene four
	@$(B)/crash --scene files
	@$(B)/crash --every 11 --scene full
	@$(B)/crash --every 40 --scene flips
	@$(B)/crash --every 14 --deep 0 --scene alone --without dirsync

.SECONDARY:

unit: all $(TESTS)
	@BUILD=$(B) scripts/run-tests $(TESTS)
fuzz-replay: $(addprefix $(B)/replay/,$(FUZZERS))
	@for f in $(FUZZERS); do $(B)/replay/$$f tests/fuzz/corpus/$${f#fuzz_} || exit 1; done
e2e: all $(B)/hostile $(B)/talker $(B)/json $(B)/tests/kith-cuda.so
	@BUILD=$(B) scripts/run-e2e $(sort $(wildcard tests/e2e_*.sh))

# The pages in a browser. PARTS=chat,look,names,access for some of them.
.PHONY: web-check
web-check:
	@scripts/deps web
	@$(MAKE) --no-print-directory all
	@BUILD=$(B) bash tests/e2e_web.sh

SEED ?= 1
.PHONY: storm
storm: all
	@BUILD=$(B) tests/storm/run $(if $(filter command line,$(origin SECONDS)),$(SECONDS),120) $(SEED)

# -- other machines: kernels against the reference, and whole models against this machine, in programs without libraries --
PORTABLE_TARGETS := aarch64 wasm32
PORTABLE_CC_aarch64   := aarch64-linux-gnu-gcc
PORTABLE_LINK_aarch64 := -static -lm -lpthread
PORTABLE_CC_wasm32    := clang --target=wasm32-wasi -msimd128
# All its memory from the start: in Node 20 growing it in the middle of a call can end the process.
PORTABLE_LINK_wasm32  := -Wl,-z,stack-size=1048576,--initial-memory=268435456
PORTABLE_SOURCES := $(addprefix base/,bytes.c codec.c err.c mem.c) $(MODEL_MAKE) tests/portable/hash.c \
  $(wildcard $(addprefix inference/,kernels/arith.c engine/attention.c engine/cache.c sched/candidates.c sched/digest.c \
  engine/encoder.c engine/engine*.c gguf.c engine/inputs.c engine/latent.c engine/layer.c engine/model*.c engine/moe.c kernels/ops*.c \
  kernels/pack.c engine/pages.c engine/pool.c engine/recur*.c engine/delta.c engine/scan.c kernels/quant*.c request.c engine/rope.c \
  sched/sampler.c sched/witness.c))
PORTABLE_SOURCES += $(wildcard $(addprefix inference/train/train_,adam.c attend.c lora.c pass*.c product*.c rows.c))
PORTABLE_CFLAGS := -std=c11 -D_GNU_SOURCE -I. -Itests/portable/include -O3 $(WARN) $(WERROR) -ffp-contract=off -fno-common -MMD -MP
define portable_rules
build/portable/$(1)/obj/%.o: %.c
	@mkdir -p $$(@D)
	$(PORTABLE_CC_$(1)) $(PORTABLE_CFLAGS) $$(call kernel_flags,$(1),$$@) -c -o $$@ $$<
build/portable/$(1)/digest: build/portable/$(1)/obj/tests/portable/digest.o $(PORTABLE_SOURCES:%.c=build/portable/$(1)/obj/%.o)
	$(PORTABLE_CC_$(1)) -o $$@ $$^ $(PORTABLE_LINK_$(1))
build/portable/$(1)/test_ops: build/portable/$(1)/obj/tests/test_ops.o $(PORTABLE_SOURCES:%.c=build/portable/$(1)/obj/%.o)
	$(PORTABLE_CC_$(1)) -o $$@ $$^ $(PORTABLE_LINK_$(1))
endef
$(foreach t,$(PORTABLE_TARGETS),$(eval $(call portable_rules,$t)))
$(B)/digest: $(B)/obj/tests/portable/digest.o $(call objects,$(MODEL_MAKE)) $(call archives,inference base)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_BASE)
portable:
	@scripts/deps portable
	@$(MAKE) --no-print-directory $(B)/digest $(foreach t,$(PORTABLE_TARGETS),build/portable/$t/digest build/portable/$t/test_ops)
	@scripts/portable $(B)/digest

# -- the model of consensus, checked with spin --
ROUNDS ?= 3
.PHONY: model
model:
	@scripts/deps model
	@scripts/model $(ROUNDS)

# -- measuring: bench/*.c, each checks its result before it times --
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(filter-out bench/bench_gpu.c,$(wildcard bench/*.c)))
$(B)/bench/%: $(B)/obj/bench/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(filter-out -lcmocka,$(TEST_LIBS))
.PHONY: bench
bench: $(BENCHES)

deps:
	@scripts/deps
# Without the kernels for GPUs, which take minutes to compile: their tests run them emulated (make cuda-check has the real ones).
check: deps
	@scripts/phases "$(MAKE) --no-print-directory NVCC=" tidy "$(PARALLEL) all" "$(PARALLEL) fuzz-replay" "$(PARALLEL) crash-sample ctime" "$(PARALLEL) e2e" "$(PARALLEL) unit" sim
demo: deps
	@$(MAKE) --no-print-directory NVCC= $(PARALLEL) all $(B)/json
	@BUILD=$(B) scripts/demo

debug:
	@$(MAKE) --no-print-directory MODE=debug all
tidy:
	@scripts/tidy
format:
	clang-format -i $(shell git ls-files '*.c' '*.h' '*.cu' '*.cc')

# Coverage-guided fuzzing: make fuzz && build/fuzz/fuzz_NAME tests/fuzz/corpus/NAME
fuzz:
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang WERROR= fuzzers
# Each target in turn for so many seconds; new inputs stay in build/fuzz/corpus.
SECONDS ?= 60
fuzz-run: fuzz
	@for f in $(FUZZERS); do mkdir -p build/fuzz/corpus/$$f; echo "== $$f"; \
	    build/fuzz/$$f -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=4000 -verbosity=0 -print_final_stats=1 \
	        build/fuzz/corpus/$$f $$(ls -d tests/fuzz/corpus/$${f#fuzz_} 2>/dev/null) 2>&1 | grep -aE 'executed_units|ERROR|Test unit' || exit 1; done
.PHONY: fuzzers fuzz-run
fuzzers: $(addprefix build/fuzz/,$(FUZZERS))
build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o $(FUZZ_SUPPORT) $(ARCHIVES)
	$(CC) $(LDFLAGS) -o $@ $< $(FUZZ_SUPPORT) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(filter-out -lcmocka,$(TEST_LIBS))

PREFIX ?= /usr/local
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec $(DESTDIR)$(PREFIX)/share/kith/models
	install $(B)/kith $(B)/kithd $(DESTDIR)$(PREFIX)/bin
	install $(B)/kith-worker $(wildcard $(B)/kith-cuda.so) $(DESTDIR)$(PREFIX)/libexec
	install -m 644 models/kith-guide.gguf $(DESTDIR)$(PREFIX)/share/kith/models

clean:
	rm -rf build

-include $(shell find $(B) build/portable -name '*.d' 2>/dev/null)
