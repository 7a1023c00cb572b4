import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";

const here = new URL("./", import.meta.url);

interface Shown {
  readonly file: string;
  readonly title: string;
}

/** Returns the faults of the README's table, each with the tests that show it. */
async function table(): Promise<{ readonly number: number; readonly tests: readonly Shown[] }[]> {
  const readme = await readFile(new URL("README.md", here), "utf8");
  return readme
    .split("\n")
    .filter((line) => /^\| \d/.test(line))
    .map((line) => ({
      number: Number.parseInt(line.slice(2), 10),
      tests: [...line.matchAll(/\]\(([^)]+)\) "([^"]+)"/g)].map(([, file = "", title = ""]) => ({ file, title })),
    }));
}

/** Returns the titles of a file's tests, as the source has them. */
async function titlesIn(file: string): Promise<string[]> {
  const source = await readFile(new URL(file, here), "utf8");
  return [...source.matchAll(/(?:\b(?:it|test)|\))\(\s*"([^"]+)",/g)].map(([, title = ""]) => title);
}

test("the table in README.md: lists all 27 faults, and names only tests that exist", async () => {
  const faults = await table();
  expect(faults.map(({ number }) => number)).toEqual(Array.from({ length: 27 }, (_, n) => n + 1));
  for (const { number, tests } of faults) {
    expect(tests, `tests of fault ${number}`).not.toEqual([]);
    for (const { file, title } of tests) expect(await titlesIn(file), `fault ${number}, ${file}`).toContain(title);
  }
});

test("the table in README.md: names every test of this folder and of soak/faults", async () => {
  const named = (await table()).flatMap(({ tests }) => tests.map(({ title }) => title));
  const files = (await readdir(here)).filter((file) => file.endsWith(".test.ts") && file !== "table.test.ts");
  for (const file of [...files, "../soak/faults.test.ts"]) {
    const titles = await titlesIn(file);
    expect(titles, file).not.toEqual([]);
    for (const title of titles) expect(named, file).toContain(title);
  }
});
