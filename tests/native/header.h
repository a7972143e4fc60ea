/* What header.c offers to the tests. */
#ifndef PANTINY_TESTS_HEADER_H_
#define PANTINY_TESTS_HEADER_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

size_t c_size_of(int which); /* of arch, tensor, scene, input, output, rows */
int c_calls(void);           /* 0: calls from C work */

#ifdef __cplusplus
}
#endif
#endif /* PANTINY_TESTS_HEADER_H_ */
