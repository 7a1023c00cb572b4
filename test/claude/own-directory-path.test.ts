import { mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join, relative } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { folderNameOf, ownDirectoryOf } from "../../src/claude/own-directory.ts";
import { nameKey, nameProblem, type SessionName } from "../../src/names.ts";

/** Parts of names that try to escape their folder. */
const HOSTILE = [
  ["..", ".", "../..", "/", "\\", "/etc/passwd", "C:\\Windows", "..\\..\\x", "a/../b", "~", "~root"],
  ["con", "CON", "nul", "NUL.txt", "aux", "prn", "com1", "LPT9", "a.", "a ", " a", "a:b", "a*b?", 'a"b<c>|d'],
  [
    "\0",
    "\n",
    "a\u0000b",
    "\u202e",
    "\ud800",
    "é",
    "e\u0301",
    "ß",
    "SS",
    "İ",
    "i",
    "I",
    "ı",
    "名前",
    "👩‍👩‍👧",
    "a\u200bb",
  ],
  ["-", "--", "-rf", "_", "$HOME", "`id`", "%PATH%", "a b", "a-b", "a_b", "A-B", "x".repeat(255), "é".repeat(200)],
].flat();

const part = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: "binary", minLength: 1, maxLength: 60 }));
const name: fc.Arbitrary<SessionName> = fc
  .oneof(part, fc.tuple(part, fc.oneof(part, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))))
  .filter((given) => nameProblem(given) === undefined);

/** File names that Windows reserves, with any extension. */
const RESERVED = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/;

describe("folderNameOf", () => {
  it("keeps the folder names of earlier releases", () => {
    const folders: readonly (readonly [SessionName, string])[] = [
      ["assistant", "assistant-43f3a43f5a7fef31effcd812e256c8f2"],
      [["support", 42], "support-42-e9bf8601eded73c01f6fdcc1d677982a"],
      [["support", "42"], "support-42-cebf647c6411d32642dab5aa150ba945"],
      [["support", "Alice@example.com"], "support-alice-example-com-f3c889eb531ec02be54c88016d71985a"],
      [["support", "../../etc"], "support-etc-74c1074f5f5d1ddc4dcc7eeee7257a9d"],
      ["名前", "faf15e621a5f9701b962044d203f88f2"],
    ];
    expect(folders.map(([of]) => [of, folderNameOf(of)])).toEqual(folders);
  });

  it("returns a portable file name of at most 73 characters", () => {
    fc.assert(
      fc.property(name, (given) => {
        const folder = folderNameOf(given);
        expect(folder).toMatch(/^([a-z0-9]+-)*[0-9a-f]{32}$/);
        expect(folder.length).toBeLessThanOrEqual(73);
        expect(folder).not.toMatch(RESERVED);
        expect(folderNameOf(given)).toBe(folder);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is unique per session, also when the file system ignores case or Unicode's forms", () => {
    const forms = (folder: string): string => folder.normalize("NFKD").toUpperCase();
    fc.assert(
      fc.property(name, name, (one, other) => {
        const same = forms(folderNameOf(one)) === forms(folderNameOf(other));
        expect(same).toBe(nameKey(one) === nameKey(other));
      }),
      { numRuns: 2_000 },
    );
  });

  it("tells similar names apart", () => {
    const alike: readonly SessionName[] = [
      ...["a-b", "a_b", "a b", "A-B", "a/b", "ab"],
      ...([
        ["a", "b"],
        ["a", "b", "-"],
        ["a-b", "-"],
        ["a", 1],
        ["a", "1"],
        ["a", -1],
        ["a", "\u00e9"],
        ["a", "e\u0301"],
      ] as const),
      ...["x".repeat(200), `${"x".repeat(200)}y`],
    ];
    expect(new Set(alike.map((given) => folderNameOf(given).toLowerCase())).size).toBe(alike.length);
  });
});

describe("ownDirectoryOf", () => {
  it("returns a path directly in its root for any name", () => {
    fc.assert(
      fc.property(name, (given) => {
        const { root, path } = ownDirectoryOf(given, "/var/lib/app/sessions");
        expect(root).toBe("/var/lib/app/sessions");
        expect(relative(root, path)).toBe(folderNameOf(given));
      }),
    );
  });

  it("returns absolute paths, by default below `.castellan` of the working directory", () => {
    const { root, path } = ownDirectoryOf("a");
    expect(root).toBe(join(process.cwd(), ".castellan", "sessions"));
    expect(isAbsolute(path)).toBe(true);
    expect(ownDirectoryOf("a", "elsewhere").root).toBe(join(process.cwd(), "elsewhere"));
  });

  it("resolves symbolic links as far as the path exists", async () => {
    const base = await realpath(await mkdtemp(join(tmpdir(), "castellan-own-")));
    onTestFinished(() => rm(base, { recursive: true, force: true }));
    await mkdir(join(base, "release"));
    await symlink(join(base, "release"), join(base, "current"));
    await symlink(join(base, "nowhere"), join(base, "broken"));
    expect(ownDirectoryOf("a", join(base, "current", "not", "yet")).root).toBe(join(base, "release", "not", "yet"));
    expect(ownDirectoryOf("a", join(base, "current")).root).toBe(join(base, "release"));
    expect(ownDirectoryOf("a", join(base, "broken")).root).toBe(join(base, "broken"));
  });
});
