import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

const READABLE_BY_ALL = 0o004;
const WRITABLE_BY_ALL = 0o002;
/** With this bit users can replace only their own files in a folder. */
const STICKY = 0o1000;

/**
 * Returns how other users of the machine can read, change or replace an existing journal, and what to do about it;
 * empty if they cannot. Castellan creates its files for the user alone. Windows has no such modes.
 */
export function exposureOf(path: string): string[] {
  const user = process.geteuid?.();
  if (user === undefined || !existsSync(path)) return [];
  const real = realpathSync(path);
  const [file, folder] = [statSync(real), statSync(dirname(real))];
  const can = [
    ...((file.mode & READABLE_BY_ALL) === 0 ? [] : ["read"]),
    ...((file.mode & WRITABLE_BY_ALL) === 0 ? [] : ["change"]),
  ].join(" and ");
  const replaceable = (folder.mode & WRITABLE_BY_ALL) !== 0 && (folder.mode & STICKY) === 0;
  // Root may use the files of others, who know about it.
  const foreign = user !== 0 && file.uid !== user && file.uid !== 0;
  return [
    ...(can === ""
      ? []
      : [
          `every user of this machine can ${can} the journal ${real}; run \`chmod 600\` on it and on the files beside it`,
        ]),
    ...(replaceable
      ? [
          `every user of this machine can replace the journal ${real}, because its folder is writable; run \`chmod 700\` on the folder`,
        ]
      : []),
    ...(foreign
      ? [`the journal ${real} belongs to user ${file.uid}, who can read and change it; give it to user ${user}`]
      : []),
  ];
}
