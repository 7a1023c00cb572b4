/*
 * SQLite's write-ahead log and its index, as https://www.sqlite.org/walformat.html describes them. The log holds pages
 * in frames with chained checksums. The index, in the machine's byte order, says how many frames are valid and which
 * page each one holds.
 */

const LOG_HEADER = 32;
const FRAME_HEADER = 24;
const INDEX_HEADER = 48;

/** Number of frames in a block of the index, and in the first block, which begins with headers. */
const BLOCK_BYTES = 32_768;
const FIRST_BLOCK_OFFSET = 136;
const BLOCK_FRAMES = 4_096;
const FIRST_BLOCK_FRAMES = BLOCK_FRAMES - FIRST_BLOCK_OFFSET / 4;
const HASH_SLOTS = 8_192;

/** The valid part of a log. */
export interface Log {
  readonly salts: string;
  /** The page of each frame up to the last commit. */
  readonly pages: readonly number[];
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const saltsAt = (bytes: Uint8Array, from: number): string =>
  Buffer.from(bytes.subarray(from, from + 8)).toString("hex");

/** Returns what SQLite would recover from the log after a crash. */
export function readLog(bytes: Uint8Array): Log {
  const nothing: Log = { salts: "", pages: [] };
  if (bytes.length < LOG_HEADER) return nothing;
  const log = view(bytes);
  const magic = log.getUint32(0);
  if (magic >>> 1 !== 0x377f0682 >>> 1) return nothing;
  const littleEndian = (magic & 1) === 0;
  const pageSize = log.getUint32(8);
  if (pageSize < 512 || pageSize > 65_536) return nothing;
  const salts = saltsAt(bytes, 16);
  let sums = checksum(log, 0, 24, littleEndian, [0, 0]);
  if (!isChecksum(log, 24, sums)) return nothing;
  const pages: number[] = [];
  let committed = 0;
  for (let at = LOG_HEADER; at + FRAME_HEADER + pageSize <= bytes.length; at += FRAME_HEADER + pageSize) {
    const page = log.getUint32(at);
    if (page === 0 || saltsAt(bytes, at + 8) !== salts) break;
    sums = checksum(log, at, 8, littleEndian, sums);
    sums = checksum(log, at + FRAME_HEADER, pageSize, littleEndian, sums);
    if (!isChecksum(log, at + 16, sums)) break;
    pages.push(page);
    if (log.getUint32(at + 4) !== 0) committed = pages.length;
  }
  return { salts, pages: pages.slice(0, committed) };
}

/** Whether the index describes the log correctly. */
export function isIndexOf(index: Uint8Array, { salts, pages }: Log): boolean {
  if (index.length < BLOCK_BYTES) return false;
  const first = index.subarray(0, INDEX_HEADER);
  if (!Buffer.from(first).equals(index.subarray(INDEX_HEADER, 2 * INDEX_HEADER))) return false;
  const header = new Uint32Array(first.slice().buffer);
  const sums = checksum(view(first), 0, 40, isLittleEndian, [0, 0]);
  if (header[10] !== sums[0] || header[11] !== sums[1]) return false;
  const frames = header[4] ?? 0;
  // The next write starts the log over, on top of frames that the database already has.
  if (saltsAt(index, 32) !== salts) return frames === 0;
  if (frames !== pages.length) return false;
  return pages.every((page, frame) => isFound(index, page, frame));
}

/** Whether the index holds a page at its frame, counted from 0, and its hash table finds it there. */
function isFound(index: Uint8Array, page: number, frame: number): boolean {
  const block = frame < FIRST_BLOCK_FRAMES ? 0 : 1 + Math.floor((frame - FIRST_BLOCK_FRAMES) / BLOCK_FRAMES);
  const position = block === 0 ? frame : (frame - FIRST_BLOCK_FRAMES) % BLOCK_FRAMES;
  const from = block * BLOCK_BYTES;
  if (index.length < from + BLOCK_BYTES) return false;
  const numbers = view(index);
  if (numbers.getUint32(from + (block === 0 ? FIRST_BLOCK_OFFSET : 0) + 4 * position, isLittleEndian) !== page)
    return false;
  const slots = from + 4 * BLOCK_FRAMES;
  for (
    let tried = 0, slot = (page * 383) % HASH_SLOTS;
    tried < HASH_SLOTS;
    tried += 1, slot = (slot + 1) % HASH_SLOTS
  ) {
    const found = numbers.getUint16(slots + 2 * slot, isLittleEndian);
    if (found === position + 1) return true;
    if (found === 0) return false;
  }
  return false;
}

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

type Sums = readonly [number, number];

function checksum(bytes: DataView, from: number, length: number, littleEndian: boolean, [a, b]: Sums): Sums {
  let [s1, s2] = [a, b];
  for (let at = from; at < from + length; at += 8) {
    s1 = (s1 + bytes.getUint32(at, littleEndian) + s2) >>> 0;
    s2 = (s2 + bytes.getUint32(at + 4, littleEndian) + s1) >>> 0;
  }
  return [s1, s2];
}

function isChecksum(bytes: DataView, at: number, [s1, s2]: Sums): boolean {
  return bytes.getUint32(at) === s1 && bytes.getUint32(at + 4) === s2;
}
