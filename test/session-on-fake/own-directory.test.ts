import { mkdir, mkdtemp, readdir, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkout, once, probe, query, session } from "../../src/castellan.ts";
import { folderNameOf } from "../../src/claude/own-directory.ts";
import { type ChildInspection, pool, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

let root: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "castellan-own-")));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

/** Lists the root without the `.gitignore` that `isolate` writes. */
const foldersIn = async (path: string): Promise<string[]> =>
  (await readdir(path)).filter((name) => name !== ".gitignore");
const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("isolate: gives each session of a template its own private directory, for any key", async () => {
  const name = unique("tenants");
  await using scene = await Scene.open({ script: count, children: [template(name, { isolate: { root } })] });
  const keys = ["alice", "Alice", "../alice", "a/b", "..", "名前", "CON"];
  for (const key of keys) await query([name, key], "hi");
  const places = scene.fake.processes.map(({ cwd }) => cwd);
  expect(places).toEqual(keys.map((key) => join(root, folderNameOf([name, key]))));
  expect(new Set(places.map((place) => place.toLowerCase())).size).toBe(keys.length);
  for (const place of places) {
    expect(dirname(place)).toBe(root);
    expect((await stat(place)).mode & 0o777).toBe(0o700);
  }
  expect(session([name, "alice"]).cwd).toBe(places[0]);
});

test("isolate: keeps the directory and its files over hibernation, a crash, a new process and termination", async () => {
  const name = unique();
  await using scene = await Scene.open({ script: count, children: [{ name, isolate: { root } }] });
  const { cwd } = session(name);
  await writeFile(join(cwd, "notes"), "kept");
  await session(name).hibernate();
  expect((await query(name, "one")).text).toBe("0");
  scene.fake.running[0]?.kill();
  await eventually(() => session(name).status().restarts === 1 && session(name).status().state === "idle");
  await session(name).clear();
  expect(await scene.supervisor.reconcile([{ name, isolate: { root }, maxTurns: 3 }])).toMatchObject({ failed: [] });
  await scene.supervisor.terminateSession(name);
  await scene.supervisor.startSession({ name, isolate: { root } });
  expect(new Set(scene.fake.processes.map((process) => process.cwd))).toEqual(new Set([cwd]));
  expect(scene.fake.processes.length).toBeGreaterThan(4);
  expect(await readdir(cwd)).toEqual(["notes"]);
});

test("isolate: keeps directory and conversation over a restart of the application", async () => {
  const name = unique("tenants");
  const fake = fakeClaude(count);
  const application = { fake, journal: memoryJournal() };
  for (const text of ["0", "2"]) {
    await using _ = await run(application, [template(name, { isolate: { root } })]);
    expect((await query([name, 1], "hi")).text).toBe(text);
  }
  expect(new Set(fake.processes.map(({ cwd }) => cwd)).size).toBe(1);
});

test("isolate: a fork continues the conversation in its own directory", async () => {
  const [name, other] = [unique(), unique()];
  await using scene = await Scene.open({ script: count, children: [{ name, isolate: { root } }] });
  await query(name, "one");
  const fork = await session(name).fork(other);
  expect((await fork.query("two")).text).toBe("2");
  expect(fork.cwd).toBe(join(root, folderNameOf(other)));
  expect(scene.fake.processes.map(({ cwd }) => cwd)).toEqual([session(name).cwd, fork.cwd]);
});

test("isolate: a change moves the session and its conversation to the other directory, and back", async () => {
  const name = unique();
  await using scene = await Scene.open({ script: count, children: [{ name, cwd: root }] });
  await query(name, "one");
  for (const [options, place] of [
    [{ isolate: { root } }, join(root, folderNameOf(name))],
    [{ cwd: root }, root],
  ] as const) {
    const before = scene.fake.processes.length;
    expect(await scene.supervisor.reconcile([{ name, ...options }])).toMatchObject({ failed: [] });
    await query(name, "again");
    expect(scene.fake.processes.length).toBe(before + 1);
    expect(scene.fake.processes.at(-1)?.cwd).toBe(place);
  }
  expect((await query(name, "more")).text).toBe("6");
});

test("isolate: a directory that cannot be created quarantines the session with the reason; a restart recovers it", async () => {
  const name = unique();
  await writeFile(join(root, "file"), "");
  await using scene = await Scene.open({
    script: count,
    children: [{ name, isolate: { root: join(root, "file") }, activation: "lazy" }],
  });
  const turn = session(name).stream("hi");
  const error = await failure(turn.result(), "SESSION_QUARANTINED");
  expect(error.message).toContain("the session's directory could not be created");
  expect(session(name).status().lastExit).toMatchObject({ class: "bad_config" });
  expect(scene.fake.processes).toEqual([]);
  await rm(join(root, "file"));
  await scene.supervisor.restartSession(name);
  expect((await query(name, "hi")).text).toBe("0");
});

test("isolate: prevents spares", async () => {
  const name = unique("tenants");
  const capacity = { spares: 2 };
  await using scene = await Scene.open({ children: [template(name, { isolate: { root } })], options: { capacity } });
  await query([name, 1], "hi");
  await query([name, 2], "hi");
  expect(scene.supervisor.capacity().spares).toMatchObject({ hits: 0, misses: { own_directory: 2 } });
  expect(await foldersIn(root)).toHaveLength(2);
  expect(scene.fake.processes).toHaveLength(2);
});

test("inspect(): shows the own directory as `cwd`, with `isolate` as its origin", async () => {
  const name = unique("tenants");
  await using scene = await Scene.open({
    children: [template(name, { isolate: { root }, autoMemory: true })],
    options: { defaults: { cwd: tmpdir() } },
  });
  await query([name, 1], "hi");
  const isSession = (child: ChildInspection) => child.kind === "session";
  const options = scene.supervisor.inspect().children.find(isSession)?.options;
  const origin = { from: "template", name };
  expect(options).toMatchObject({
    isolate: { value: { root }, origin },
    autoMemory: { value: true, origin },
    cwd: { value: session([name, 1]).cwd, origin },
  });
});

test("once(): removes its own directory, also when it fails", async () => {
  const fake = fakeClaude((turn) => {
    if (turn.prompt === "fail") return turn.fail({ status: 400, message: "no" });
    return turn.text("done");
  });
  const own = { spawnClaudeCodeProcess: fake.spawn, isolate: { root } };
  await once("hi", own);
  await once("fail", own).catch(() => {});
  expect(fake.processes.map(({ cwd }) => dirname(cwd))).toEqual([root, root]);
  expect(await foldersIn(root)).toEqual([]);
});

test("probe(): works beside the session's own directory, which need not exist, and removes its own", async () => {
  const name = unique("tenants");
  await using scene = await Scene.open({ children: [template(name, { isolate: { root } })] });
  expect(await probe([name, 1])).toMatchObject({ ok: true });
  expect(scene.fake.processes.map(({ cwd }) => dirname(cwd))).toEqual([root]);
  expect(await foldersIn(root)).toEqual([]);
});

test("Pool with isolate: empties a member's directory between loans, also without a turn", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 1, isolate: { root } })] });
  for (const asks of [true, false, true]) {
    await using loan = await checkout(name);
    const { cwd } = loan.session;
    expect(await readdir(cwd)).toEqual([]);
    await mkdir(join(cwd, ".memory"));
    await writeFile(join(cwd, ".memory", "MEMORY.md"), "a secret");
    await writeFile(join(cwd, "upload"), "another");
    if (asks) expect((await loan.session.query("hi")).text).toBe("0");
    expect(await readdir(cwd)).toEqual([".memory", "upload"]);
  }
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
  expect(await readdir(join(root, folderNameOf([name, 0])))).toEqual([]);
  await query(name, "hi");
});

test("Pool with isolate: empties a member's directory between turns, and at the start", async () => {
  const name = unique("pool");
  const place = join(root, folderNameOf([name, 0]));
  await mkdir(place, { recursive: true });
  await writeFile(join(place, "left behind"), "");
  const seen: string[][] = [];
  const script: FakeScript = async (turn) => {
    seen.push(await readdir(place));
    await writeFile(join(place, turn.prompt), "");
    await turn.text("done");
  };
  await using _ = await Scene.open({ script, children: [pool(name, { size: 1, isolate: { root } })] });
  for (const prompt of ["one", "two"]) await query(name, prompt);
  expect(seen).toEqual([[], []]);
});

test("Pool with isolate: keeps the directories of a shared conversation", async () => {
  const name = unique("pool");
  const options = { size: 1, isolate: { root }, conversation: "shared" } as const;
  await using _ = await Scene.open({ script: count, children: [pool(name, options)] });
  {
    await using loan = await checkout(name);
    await loan.session.query("hi");
    await writeFile(join(loan.session.cwd, "kept"), "");
  }
  await using loan = await checkout(name);
  expect(await readdir(loan.session.cwd)).toEqual(["kept"]);
  expect((await loan.session.query("hi")).text).toBe("2");
});

test("Pool with isolate: quarantines a member whose directory cannot be emptied, and lends it again after a repair", async () => {
  const name = unique("pool");
  const options = { size: 1, isolate: { root } };
  await using scene = await Scene.open({ script: count, children: [pool(name, options)] });
  const loan = await checkout(name);
  await loan.session.query("hi");
  await loan.session.hibernate();
  const { cwd } = loan.session;
  // The check-in does not follow what replaces the directory.
  await rm(cwd, { recursive: true });
  await writeFile(cwd, "a file");
  await loan.checkin();
  await eventually(() => session([name, 0]).status().state === "quarantined");
  expect(session([name, 0]).status().lastExit?.message).toContain("the session's directory could not be emptied");
  await failure(checkout(name, { timeout: 0 }), "POOL_EXHAUSTED");
  await rm(cwd);
  await scene.supervisor.restartSession([name, 0]);
  await using next = await checkout(name);
  expect((await next.session.query("hi")).text).toBe("0");
  expect(await readdir(next.session.cwd)).toEqual([]);
});

test("Pool with isolate: starts the process of an eager member once", async () => {
  const name = unique("pool");
  const options = { size: 2, isolate: { root }, activation: "eager" } as const;
  await using scene = await Scene.open({ script: count, children: [pool(name, options)] });
  await eventually(() => scene.supervisor.pool(name).status().idle === 2);
  expect(scene.fake.processes).toHaveLength(2);
  await query(name, "hi");
  await eventually(() => scene.supervisor.pool(name).status().idle === 2);
  expect(scene.fake.processes).toHaveLength(3);
});
