/*
 * What elfutils 0.192's libelf.a (Debian 13) forgets to bring along: two functions on the tree in which it remembers
 * raw chunks of a file. Nothing here asks for such chunks, so the tree stays empty. Weak: a libelf that has its own
 * uses those. Can go when no supported distribution ships 0.192 (mended in 0.193).
 */
#include <stddef.h>

/* elfutils' lib/eu-search.h: the root, then a lock that Debian's build does not have. */
struct search_tree {
    void *root;
};

void eu_search_tree_init(struct search_tree *tree);
void eu_search_tree_fini(struct search_tree *tree, void (*free_node)(void *));

__attribute__((weak)) void eu_search_tree_init(struct search_tree *tree) {
    tree->root = NULL;
}

__attribute__((weak)) void eu_search_tree_fini(struct search_tree *tree, void (*free_node)(void *)) {
    (void)tree;
    (void)free_node;
}
