import type { DocumentBlock, ImageBlock } from "../../src/index.ts";

/** A PNG of one pixel. */
export const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** A PDF of this many bytes, in base64. */
export function pdf(bytes = 60): string {
  return Buffer.from("%PDF-1.4\n".padEnd(bytes, "0123456789")).toString("base64");
}

export const image: ImageBlock = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };

/** A PDF document of this many bytes. */
export function document(bytes?: number): DocumentBlock {
  const source = { type: "base64", media_type: "application/pdf", data: pdf(bytes) } as const;
  return { type: "document", source, title: "Terms" };
}
