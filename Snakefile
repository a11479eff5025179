# The workflow, where people look for it first.
include: "workflow/Snakefile"


# Snakemake takes no default target from a file that is included.
rule default:
    default_target: True
    input:
        rules.all.input,
