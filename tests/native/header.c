/* The header is C99: it is compiled here as such, and its layout is what C++ sees. */
#include "header.h"

#include "pantiny.h"

size_t c_size_of(int which) {
  const size_t sizes[] = {sizeof(ptn_arch),  sizeof(ptn_tensor), sizeof(ptn_scene),
                          sizeof(ptn_input), sizeof(ptn_output), sizeof(ptn_rows)};
  return sizes[which];
}

int c_calls(void) {
  ptn_arch arch = {0};
  size_t bytes = 0;
  if (ptn_abi_version() != PTN_ABI_VERSION) return 1;
  if (ptn_model_bytes(&arch, &bytes) != PTN_ERR_UNSUPPORTED) return 2;
  if (!ptn_status_text(PTN_ERR_UNSUPPORTED)[0]) return 3;
  return 0;
}
