/* Classes O and P: what stays behind in the workspace, and secrets. */
#include "attack.h"

static long create_new(const char *path) {
    long result = create(path, "evil\n");
    return result < 0 ? result : 0;
}

/* What exists at the start and is protected: read, but never written, replaced, moved, removed or linked. */
static void protected_that_exist(void) {
    const char *ws = argument("repo"), *hook = in(ws, ".git/hooks/pre-commit"), *settings = in(ws, ".git/config");
    const char *mine = in(ws, "mine");
    create(mine, "evil");
    step("write a hook", write_text(hook, "evil"));
    step("truncate a hook", truncate(hook, 0));
    step("make a hook", create_new(in(ws, ".git/hooks/post-checkout")));
    step("remove a hook", unlink(hook));
    step("rename over a hook", rename(mine, hook));
    step("rename over the configuration", rename(mine, settings));
    step("write the configuration", write_text(settings, "evil"));
    step("remove the configuration", unlink(settings));
    step("move the hooks away", rename(in(ws, ".git/hooks"), in(ws, ".git/old")));
    step("move .git away", rename(in(ws, ".git"), in(ws, "old-git")));
    step("exchange .git", syscall(SYS_renameat2, AT_FDCWD, in(ws, ".git"), AT_FDCWD, in(ws, "folder"), 2));
    step("chmod a hook", chmod(hook, 0755));
    step("link a hook", link(hook, in(ws, "second-hook")));
    step("editor settings", write_text(in(ws, ".vscode/settings.json"), "evil"));
    step("make an editor task", create_new(in(ws, ".vscode/tasks.json")));
    near("read a hook", read_some(hook));
    near("read the configuration", read_some(settings));
    near("write an object", create(in(ws, ".git/objects/attack"), "x"));
    near("write HEAD", write_text(in(ws, ".git/HEAD"), "ref: refs/heads/main\n"));
    near("write beside", create(in(ws, "beside"), "x"));
}

/* What does not exist at the start: it may be made for a moment where the kernel has no hook, and is not there after.
 */
static void protected_that_do_not(void) {
    static const char *const names[] = {
        ".mcp.json",       ".envrc",  ".bashrc", ".zshenv", ".gitmodules",           ".husky",
        ".codex",          ".cursor", ".gemini", ".idea",   ".claude/settings.json", ".claude/hooks",
        ".claude/commands"};
    mkdir(in(argument("repo"), ".claude"), 0755);
    for (size_t each = 0; each < sizeof names / sizeof *names; each++) {
        const char *path = in(argument("repo"), names[each]);
        long result = each % 2 ? create_new(path) : mkdir(path, 0755);
        if (result == 0 && each % 2 == 0)
            create_new(in(path, "inside"));
        print("note %s %s\n", names[each], outcome(result));
    }
    near("write beside", create(in(argument("repo"), "beside"), "x"));
}

static void home_secrets(void) {
    static const char *const names[] = {".ssh/id_ed25519", ".aws/credentials", ".netrc", ".bash_history",
                                        ".kube/config"};
    for (size_t each = 0; each < sizeof names / sizeof *names; each++)
        step(names[each], holds(in(argument("home"), names[each]), argument("token")));
    step("a folder of keys", holds(in(argument("home"), ".ssh/../.ssh/id_ed25519"), argument("token")));
    near("the home is writable", create(in(argument("home"), "note.txt"), "x"));
}

static void environment(void) {
    extern char **environ;
    long leaked = -1;
    for (char **each = environ; *each; each++)
        if (strstr(*each, argument("token")) || !strncmp(*each, "LD_", 3)) {
            print("note %.40s\n", *each);
            leaked = 0;
        }
    errno = ENODATA;
    step("a variable with a secret", leaked);
    near("PATH", getenv("PATH") ? 0 : -1);
    near("HOME", getenv("HOME") ? 0 : -1);
    near("LANG", getenv("LANG") ? 0 : -1);
}

static void workspace_secrets(void) {
    const char *ws = argument("ws");
    step("denied file", holds(in(ws, "denied.txt"), argument("token")));
    step("denied folder", holds(in(ws, "deny-folder/a"), argument("token")));
    step("list a denied folder", read_some(in(ws, "deny-folder")));
    step("write a denied file", open_to_write(in(ws, "denied.txt")));
    step("make in a denied folder", create(in(ws, "deny-folder/new"), "x"));
    struct stat about;
    step("size of a denied file",
         stat(in(ws, "denied.txt"), &about) == 0 && about.st_size == (off_t)strlen(argument("token"))
             ? 0
             : (errno = EACCES, -1));
    near("plain file", create(in(ws, "plain.txt"), "x"));
}

/* A name pattern: files that exist, and one that is made later. */
static void patterns(void) {
    const char *ws = argument("ws");
    step(".env", holds(in(ws, ".env"), argument("token")));
    step(".env below", holds(in(ws, "below/.env"), argument("token")));
    create(in(ws, "below/other"), argument("token"));
    step("a new .env", rename(in(ws, "below/other"), in(ws, ".claude-x")) ? -1
                       : (mkdir(in(ws, "later"), 0755), rename(in(ws, ".claude-x"), in(ws, "later/.env")))
                           ? -1
                           : holds(in(ws, "later/.env"), argument("token")));
    near(".env.example", create(in(ws, ".env.example"), "x"));
}

ATTACKS({"C194", protected_that_exist}, {"C195", protected_that_do_not}, {"C205", home_secrets}, {"C206", environment},
        {"C207", workspace_secrets}, {"C207b", patterns})
