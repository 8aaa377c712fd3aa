/** Where a listener binds. `fallbackPort` is tried when `port` cannot be bound; only set for the built-in default. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** The networks (CIDR) that clients have to come from; without it any. */
  readonly allow?: readonly string[];
  readonly fallbackPort?: number;
  /** An open descriptor that is bound there already; never in a {@link Config}. */
  readonly descriptor?: number;
}

export type AtLeastOne<Value> = readonly [Value, ...Value[]];

/** An account of ours at a registry. */
export interface AccountConfig {
  /** Tells it from others, also after a restart. */
  readonly id: string;
  /** Patterns of the repositories that it is for; without them, all. */
  readonly repositories?: readonly string[];
  readonly username: string;
  /** Absolute path. */
  readonly passwordFile: string;
  /** Patterns of repositories served to everybody with this account. */
  readonly serve: readonly string[];
}

/** One upstream registry. The namespace is its key in {@link Config.upstreams}. */
export interface UpstreamConfig {
  readonly name: string;
  /** The key of the upstream whose wildcard it was made by. */
  readonly template?: string;
  /** Host names presented to clients; lower case. All of them are wildcards (`*.azurecr.io`), or none. */
  readonly hosts: readonly string[];
  /** Presented hosts that only issue tokens (auth.docker.io). */
  readonly authHosts: readonly string[];
  /** Its name in access logs of the nginx format; the namespace when absent. */
  readonly alias?: string;
  /** Base URLs, with `*` in their hosts where `hosts` are wildcards; tried in order; http or https, path without trailing slash. */
  readonly urls: readonly URL[];
  /** Absolute path of PEM certificates trusted beside the system's. */
  readonly ca?: string;
  /** PEM files by absolute paths, shown to the registry and to `tokenHosts`. */
  readonly clientCert?: { readonly chain: string; readonly key: string };
  /** Of these, the first that is for a repository is used there. */
  readonly credentials: readonly AccountConfig[];
  /** `host[:port]` that may be sent credentials for tokens. */
  readonly tokenHosts: readonly string[];
  /** `host[:port]` allowed as redirect targets although private or http. */
  readonly blobHosts: readonly string[];
  /** Milliseconds. */
  readonly tags: { readonly ttl: number; readonly staleOnError: number };
  readonly challenge: 'relay' | 'verbatim';
  /** Requests in any span of milliseconds, and bytes per second. */
  readonly limit: {
    readonly requests?: { readonly count: number; readonly span: number };
    readonly bandwidth?: number;
  };
  /** Connections over which one blob may come; 1: off. */
  readonly parallel: number;
  /** Patterns `repository[:tag]` of what is served; without it everything is. */
  readonly allow?: readonly string[];
  /** Patterns `repository[:tag]` of what is not served, whatever `allow` says. */
  readonly deny: readonly string[];
  /** `layers`: what a new image names is fetched before its client asks for it. */
  readonly prefetch: 'off' | 'layers';
  /** `background`: what an image names and its client did not ask for is fetched afterwards. */
  readonly complete: 'off' | 'background';
}

/** The whole configuration, checked, with defaults and presets merged in. Paths are absolute, durations milliseconds. */
export interface Config {
  /** How many of them serve together. */
  readonly processes: number;
  readonly listen: {
    readonly https: AtLeastOne<ListenAddress>;
    readonly http: AtLeastOne<ListenAddress>;
    readonly admin: AtLeastOne<ListenAddress>;
    /** Networks (CIDR) of the proxies whose word about their clients counts on the addresses of `http`. */
    readonly proxies: readonly string[];
  };
  /** `public`: `/metrics` is answered on the plain listener too. */
  readonly metrics: 'admin' | 'public';
  /** Who sees the status page: whoever reaches our own names, the admin listener alone, or nobody. */
  readonly page: 'public' | 'admin' | 'off';
  /** Our own host names and IP addresses for TLS. */
  readonly names: readonly string[];
  /** `permit`: the registries the root CA vouches for beside the configured ones. */
  readonly certs: {
    readonly dir: string;
    readonly permit: readonly string[];
    /** A certificate that was made elsewhere, shown for the names it covers; absolute paths of PEM files. */
    readonly brought?: { readonly chain: string; readonly key: string };
  };
  readonly storage: {
    /** Absolute path. */
    readonly root: string;
    /** Allocated bytes that the cache with its partial downloads never exceeds. */
    readonly size: number;
    /** Bytes of the file system that the cache always leaves free. */
    readonly reserve: number;
    /** Shares of `size`: above `high` the cache is evicted down to `low`. */
    readonly evict: { readonly high: number; readonly low: number };
    /** What is never evicted: repository patterns, each with a tag pattern behind a colon or for every tag. */
    readonly keep: readonly string[];
  };
  /** `servers` empty: the system's name servers. `pins`: host name → addresses. */
  readonly dns: { readonly servers: readonly string[]; readonly pins: Readonly<Record<string, readonly string[]>> };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly access: {
      /** Absolute path, or `-` for standard output. */
      readonly file: string;
      readonly format: 'json' | 'nginx';
      /** Bytes after which the file is rotated; 0: never. */
      readonly maxSize: number;
      /** How many rotated files are kept. */
      readonly keep: number;
    };
  };
  /** Namespace that our own names mean when nothing else is said. */
  readonly mirror: {
    readonly default?: string;
    /** Who may read what is cached, on our own names. */
    readonly read: 'anyone' | 'users';
  };
  readonly hosted: {
    /** Patterns of the repositories that are ours. */
    readonly repositories: readonly string[];
    /** Who may push to them. */
    readonly push: 'none' | 'users' | 'anyone';
    /** Who may read them. */
    readonly read: 'anyone' | 'users';
    /** Patterns of the repositories where whoever may push may delete, too. */
    readonly delete: readonly string[];
  };
  readonly users: {
    /** Absolute path of an htpasswd file; without it there are no users. */
    readonly file?: string;
  };
  readonly grants: { readonly offline: number };
  readonly upstreams: Readonly<Record<string, UpstreamConfig>>;
}
