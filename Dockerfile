# The gateway as an image: docker build --tag localhost/layover .
# It runs as user 65532, writes below /layover alone, and reads /layover/config/gateway.yaml. See docs/install.md.
ARG BASE=docker.io/library/node:26.12.1-trixie-slim

FROM ${BASE} AS packages
WORKDIR /opt/layover
COPY package.json package-lock.json ./
# Not `npm ci`: it refuses a lock file that lacks other platforms' optional packages. The versions are the locked ones.
# A registry of one's own is named in a file that no layer keeps: --secret id=npmrc,src=$HOME/.npmrc
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm install --omit=dev --no-save --ignore-scripts --no-audit --no-fund \
    && mkdir -p /layover/data /layover/certs /layover/logs

FROM ${BASE}
LABEL org.opencontainers.image.title="Layover" \
      org.opencontainers.image.description="Transparent caching gateway for container registries" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/layover/node_modules /opt/layover/node_modules
COPY package.json package-lock.json security-floor.json LICENSE /opt/layover/
COPY bin /opt/layover/bin
COPY src /opt/layover/src
COPY config /layover/config
COPY --from=packages --chown=65532:65532 /layover/ /layover/
WORKDIR /layover
ENV NODE_ENV=production
USER 65532:65532
VOLUME ["/layover/data", "/layover/certs", "/layover/logs"]
EXPOSE 443 5000 9464
# Running answers get 30 s to finish.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/layover/bin/layover.js"]
CMD ["start"]
