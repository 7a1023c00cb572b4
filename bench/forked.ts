import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Runs a file of this folder in a new process. Resolves with its first message. */
export async function forked<Message>(
  file: string,
  args: readonly string[],
  execArgv: readonly string[],
): Promise<Message> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const host = fork(path, [...args], { execArgv: [...execArgv] });
  const exit = once(host, "exit").then(([code]) =>
    Promise.reject(new Error(`the measuring process exited with code ${code}`)),
  );
  exit.catch(() => {});
  const [message] = (await Promise.race([once(host, "message"), exit])) as [Message];
  if (host.connected) host.disconnect();
  return message;
}
