import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/* Chromium by the DevTools protocol. */

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Returns the path of the installed Chromium. @throws Error if there is none */
export function chromiumPath(): string {
  const path = process.env["CHROMIUM"] ?? PATHS.find((one) => existsSync(one));
  if (path !== undefined) return path;
  throw new Error(
    "Chromium is not installed. Install it with `apt-get install chromium`, or set CHROMIUM to its path.",
  );
}

export interface Tab {
  goto(url: string): Promise<void>;
  /** Returns the value of an expression. */
  evaluate<Value>(expression: string): Promise<Value>;
}

export interface Browser extends AsyncDisposable {
  tab(): Promise<Tab>;
}

interface Answer {
  readonly id?: number;
  readonly result?: { readonly [name: string]: unknown };
  readonly error?: { readonly message: string };
}

/** Starts a headless Chromium. */
export async function browser(): Promise<Browser> {
  const path = chromiumPath();
  const folder = await mkdtemp(join(tmpdir(), "castellan-chromium-"));
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
  const child = spawn(path, [...flags, "--remote-debugging-port=0", `--user-data-dir=${folder}`, "about:blank"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stderr).on("line", (line) => {
      const [, found] = /^DevTools listening on (\S+)/.exec(line) ?? [];
      if (found !== undefined) resolve(found);
    });
    void exited.then(() => reject(new Error("Chromium ended")));
  });
  const socket = new WebSocket(url);
  await once(socket, "open");
  let ids = 0;
  const pending = new Map<number, PromiseWithResolvers<NonNullable<Answer["result"]>>>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error } = JSON.parse(String(data)) as Answer;
    const asked = id === undefined ? undefined : pending.get(id);
    if (id === undefined || asked === undefined) return;
    pending.delete(id);
    if (error === undefined) asked.resolve(result ?? {});
    else asked.reject(new Error(error.message));
  });
  const ask = async (method: string, params: object, sessionId?: string): Promise<NonNullable<Answer["result"]>> => {
    const id = ++ids;
    const asked = Promise.withResolvers<NonNullable<Answer["result"]>>();
    pending.set(id, asked);
    socket.send(JSON.stringify({ id, method, params, sessionId }));
    return await asked.promise;
  };
  return {
    tab: async () => {
      const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
      const { sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true });
      const tab = String(sessionId);
      return {
        goto: async (to) => void (await ask("Page.navigate", { url: to }, tab)),
        evaluate: async <Value>(expression: string) => {
          const { result, exceptionDetails } = await ask(
            "Runtime.evaluate",
            { expression, awaitPromise: true, returnByValue: true },
            tab,
          );
          if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
          return (result as { readonly value: Value }).value;
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
      socket.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
