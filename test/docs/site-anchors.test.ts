import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { checkAnchors } from "../../scripts/site/anchors.ts";

/** Writes a built site of two pages, and returns its folder. */
async function built(link: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "castellan-site-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, "guide"));
  await writeFile(join(folder, "index.html"), `<h2 id="start">Start</h2>`);
  await writeFile(
    join(folder, "guide/pools.html"),
    `<h2 id="members">Members</h2><a class="x" href="${link}">link</a>`,
  );
  return folder;
}

test.each([
  "#members",
  "pools.html#members",
  "/guide/pools.html#members",
  "../#start",
  "/#start",
  "https://nodejs.org/#x",
])("checkAnchors: accepts %s", async (link) => {
  const folder = await built(link);
  expect(() => checkAnchors(folder, "/")).not.toThrow();
});

test.each(["#nowhere", "pools.html#nowhere", "/#nowhere", "lost.html#members"])(
  "checkAnchors: refuses %s",
  async (link) => {
    const folder = await built(link);
    expect(() => checkAnchors(folder, "/")).toThrow(`guide/pools.html links to ${link}`);
  },
);

test("checkAnchors: takes absolute links from the base of the site", async () => {
  const folder = await built("/docs/guide/pools.html#members");
  expect(() => checkAnchors(folder, "/docs/")).not.toThrow();
});
