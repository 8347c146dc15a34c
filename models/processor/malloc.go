//go:build xla && linux

package processor

/*
#include <malloc.h>

// keepHeap lets freed memory stay in the process. XLA takes a graph's buffers from malloc at each execution; as glibc is set
// by default, large ones are mapped and unmapped each time, and the kernel clears every page anew, a fifth of a training's
// time. It runs before main: the number of arenas is fixed when the second thread first allocates.
__attribute__((constructor)) static void keepHeap(void) {
#ifdef __GLIBC__
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
	mallopt(M_ARENA_MAX, 1); // other arenas than the main one would still map what is over 64 MiB
#endif
}
*/
import "C"
