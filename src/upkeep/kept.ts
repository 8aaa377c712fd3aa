import type { Kept } from '../index/database.ts';
import type { Digest } from '../oci/digest.ts';
import { matchesImage } from '../oci/name.ts';
import { cachedRepository } from '../oci/route.ts';
import type { Content } from '../store/content.ts';

/** Tags that are listed at a time. */
const PAGE = 1000;

/** What `patterns` (`repositories` or `repositories:tags`) say must stay, of these namespaced repositories. */
export async function keptBy(
  patterns: readonly string[],
  repositories: readonly string[],
  content: Content,
): Promise<Kept> {
  const whole = patterns.filter((pattern) => !pattern.includes(':'));
  const tagged = patterns.filter((pattern) => pattern.includes(':'));
  const isWhole = (name: string): boolean => whole.some((pattern) => matchesImage(pattern, name, undefined));
  const digests: Digest[] = [];
  for (const name of repositories.filter((repository) => !isWhole(repository))) {
    const own = tagged.filter((pattern) => matchesImage(pattern, name, undefined));
    if (own.length > 0) digests.push(...(await digestsOfTags(own, name, content)));
  }
  return { repositories: repositories.filter(isWhole), digests };
}

/** What the tags of a repository that match one of `patterns` mean, to any kind of client. */
async function digestsOfTags(patterns: readonly string[], name: string, content: Content): Promise<readonly Digest[]> {
  const repository = cachedRepository(name);
  const digests: Digest[] = [];
  for (let after: string | undefined; ; ) {
    const tags = await content.listTags(repository, { limit: PAGE, ...(after !== undefined && { after }) });
    for (const tag of tags) {
      if (!patterns.some((pattern) => matchesImage(pattern, name, tag))) continue;
      const record = await content.tag(repository, tag);
      digests.push(...Object.values(record?.classes ?? {}).map(({ digest }) => digest));
    }
    after = tags.at(-1);
    if (after === undefined) return digests;
  }
}
