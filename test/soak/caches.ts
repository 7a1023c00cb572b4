import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shareCaches } from "../shared-caches.ts";

/** @returns a function that removes the caches */
export default function provideCaches(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "castellan-caches-"));
  // PostgreSQL runs as another user.
  chmodSync(folder, 0o1777);
  shareCaches(folder);
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}
