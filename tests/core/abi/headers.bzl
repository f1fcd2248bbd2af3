"""The headers that C++ libraries need, as files: for compilers that Bazel does not drive."""

def _library_headers_impl(ctx):
    headers = [dep[CcInfo].compilation_context.headers for dep in ctx.attr.deps]
    return [DefaultInfo(files = depset(transitive = headers))]

library_headers = rule(
    implementation = _library_headers_impl,
    attrs = {"deps": attr.label_list(providers = [CcInfo])},
)
