/** The address of the repository, for links from the site to files that are no pages. The only place that names it. */
const REPOSITORY = "https://castellan.example/repository";

/** The address of a file or folder of the repository. */
export function repositoryLink(path: string): string {
  return `${REPOSITORY}/blob/main/${path}`;
}
