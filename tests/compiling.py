"""How programs are compiled that play a few steps: compiling them is most of what they take."""

# Without optimization, and by the emitters that are done soonest.
SOON = " ".join(
    (
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    )
)
