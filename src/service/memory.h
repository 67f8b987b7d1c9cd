/*
 * Keeping an idle service small. Inside of the factory.
 */
#ifndef LH_SERVICE_MEMORY_H
#define LH_SERVICE_MEMORY_H

/* How malloc keeps memory. Before threads. */
void lh_memory_limit_arenas(void);

/* Gives back what only the start needed: free heap, and pages of code and constants of the program
 * and its libraries. The latter are clean pages of files; those that are used again come back from
 * the page cache. Costs some 100 microseconds. thread-safe. */
void lh_memory_trim(void);

#endif
