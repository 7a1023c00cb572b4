import { html, type View } from "../html.ts";
import { type Draft, edited, fileProblem, type ReadFile } from "../store/prompt-draft.ts";
import { plain } from "../store/shown-name.ts";
import { Icon } from "./icon.ts";

interface PromptImagesProps {
  readonly draft: Draft;
  readonly change: (draft: Draft) => void;
}

/** The images of a prompt, each with a way to remove it. */
export function PromptImages({ draft, change }: PromptImagesProps): View {
  if (draft.images.length === 0) return null;
  return html`<ul class="prompt-images" aria-label="Images of the prompt">
    ${draft.images.map((image, at) => {
      const name = plain(image.name);
      const remove = (): void => change(edited(draft, { images: draft.images.filter((other) => other !== image) }));
      return html`<li key=${`${at} ${image.data.length} ${name}`} title=${name}>
        <img src=${`data:${image.type};base64,${image.data}`} alt=${name} />
        <button type="button" aria-label=${`Remove ${name}`} onClick=${remove}><${Icon} name="close" /></button>
      </li>`;
    })}
  </ul>`;
}

/** Reads files as far as they may fit, and tells of the others. */
export async function readFiles(
  files: readonly File[],
): Promise<{ readonly read: readonly ReadFile[]; readonly problems: readonly string[] }> {
  const problems = files.flatMap((file) => fileProblem(file) ?? []);
  const outcomes = await Promise.allSettled(
    files
      .filter((file) => fileProblem(file) === undefined)
      .map(async (file) => ({ name: file.name, data: await base64Of(file) })),
  );
  return {
    read: outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : [])),
    problems: [
      ...problems,
      ...outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [String(outcome.reason)] : [])),
    ],
  };
}

async function base64Of(file: File): Promise<string> {
  return await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""));
    reader.onerror = () => reject(new Error(`${plain(file.name)} cannot be read.`));
    reader.readAsDataURL(file);
  });
}
