import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

const READABLE_BY_ALL = 0o004;
const WRITABLE_BY_ALL = 0o002;
/** In a folder with this bit users replace only files of their own. */
const STICKY = 0o1000;

/**
 * What other users of the machine can do with the file of a journal that was there before, or with its folder, in words that a person can
 * act on; nothing if that is nothing. Files that Castellan makes are for its user only. Windows has no such modes.
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
  // Whoever may do everything may use files of others, who know of it.
  const foreign = user !== 0 && file.uid !== user && file.uid !== 0;
  return [
    ...(can === ""
      ? []
      : [
          `every user of this machine can ${can} the journal ${real}; take that away with \`chmod 600\`, also from the files beside it`,
        ]),
    ...(replaceable
      ? [
          `every user of this machine can replace the journal ${real}, since its folder is writable; take that away with \`chmod 700\``,
        ]
      : []),
    ...(foreign
      ? [`the journal ${real} belongs to user ${file.uid}, who can read and change it; give it to user ${user}`]
      : []),
  ];
}
