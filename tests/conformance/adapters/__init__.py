"""One module a package, ``<package>_indices``; each imports its package."""
