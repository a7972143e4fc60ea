// What the parts of the binding share.
#pragma once

#include <pybind11/pybind11.h>

void bind_indices(pybind11::module_& m);
