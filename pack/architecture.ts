export const ARCHITECTURES = ['x64', 'arm64'] as const;
/** As Node spells it. */
export type Architecture = (typeof ARCHITECTURES)[number];

/** As Debian and Go spell it. */
export const DEBIAN_NAME: Readonly<Record<Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Where the parts of an archive go; absolute paths of directories. */
export interface Places {
  /** For what is only needed on the way. */
  readonly work: string;
  /** The top of the archive. */
  readonly top: string;
  /** For the loader, Node and its libraries. */
  readonly lib: string;
  readonly licenses: string;
}
