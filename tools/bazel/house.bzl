"""The house's compiler flags: one place for all of them, and nothing but flags."""

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wsign-conversion",
    "-Werror",
]

_NO_RUNTIME = [
    "-fno-exceptions",
    "-fno-rtti",
]

# Core, platform and links are embedded by firmware: neither exceptions nor run-time type
# information.
def slipring_library(name, copts = [], **kwargs):
    native.cc_library(name = name, copts = WARNINGS + _NO_RUNTIME + copts, **kwargs)

# Code that rides on libraries which throw: the pipeline file's parser, the command line.
def slipring_hosted_library(name, copts = [], **kwargs):
    native.cc_library(name = name, copts = WARNINGS + copts, **kwargs)

def slipring_binary(name, copts = [], **kwargs):
    native.cc_binary(name = name, copts = WARNINGS + copts, **kwargs)

def slipring_test(name, copts = [], deps = [], size = "small", **kwargs):
    native.cc_test(
        name = name,
        copts = WARNINGS + copts,
        deps = deps + ["//tests:doctest_main"],
        size = size,
        **kwargs
    )

def slipring_benchmark(name, copts = [], deps = [], **kwargs):
    native.cc_binary(
        name = name,
        copts = WARNINGS + copts,
        deps = deps + ["//third_party:benchmark"],
        testonly = True,
        **kwargs
    )
