/** The media types of images that the Messages API accepts. */
export type ImageMediaType = "image/jpeg" | "image/png" | "image/gif" | "image/webp";

/** Content at an address that the Messages API reads. */
export interface UrlSource {
  readonly type: "url";
  /** With `https:`. */
  readonly url: string;
}

/** Content that was uploaded with the Files API. */
export interface UploadedSource {
  readonly type: "file";
  readonly file_id: string;
}

/** The data of an image. */
export interface ImageData {
  readonly type: "base64";
  readonly media_type: ImageMediaType;
  /** In base64, with padding and without line breaks. */
  readonly data: string;
}

/** The data of a PDF. */
export interface PdfData {
  readonly type: "base64";
  readonly media_type: "application/pdf";
  /** In base64, with padding and without line breaks. */
  readonly data: string;
}

/** A document that is plain text. */
export interface TextData {
  readonly type: "text";
  readonly media_type: "text/plain";
  readonly data: string;
}

/** A document that consists of texts and images. */
export interface DocumentContent {
  readonly type: "content";
  readonly content: string | readonly (TextBlock | ImageBlock)[];
}

/** A text in a prompt. */
export interface TextBlock {
  readonly type: "text";
  readonly text: string;
}

/**
 * An image in a prompt. Claude Code shrinks and recompresses a large one, and tells the model the path of a copy that it
 * writes to its temporary directory. It passes an image on unchanged if it is given by `url` or `file_id`.
 */
export interface ImageBlock {
  readonly type: "image";
  readonly source: ImageData | UrlSource | UploadedSource;
}

/** A document in a prompt: a PDF or a text. */
export interface DocumentBlock {
  readonly type: "document";
  readonly source: PdfData | TextData | DocumentContent | UrlSource | UploadedSource;
  readonly title?: string | null;
  /** What the model is told about the document; not citable. */
  readonly context?: string | null;
  readonly citations?: { readonly enabled?: boolean } | null;
}

/** A content block of a prompt, as in the Messages API. */
export type PromptBlock = TextBlock | ImageBlock | DocumentBlock;
