// The program of an archive: starts the Node that lies beside it, by the loader and with the libraries that lie there too,
// so that the system has to have neither. Called by the name of node it is nothing but that Node.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

var loaders = map[string]string{"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}

func main() {
	self, err := os.Executable()
	if err != nil {
		fail("cannot find what lies beside it without /proc", err)
	}
	top := filepath.Dir(self)
	parts := filepath.Join(top, "runtime")
	lib := filepath.Join(parts, "lib")
	loader := filepath.Join(lib, loaders[runtime.GOARCH])
	args := []string{loader, "--library-path", lib, filepath.Join(lib, "node"), "--require", filepath.Join(parts, "exec-path.cjs")}
	if filepath.Base(os.Args[0]) != "node" {
		args = append(args, filepath.Join(top, "app", "bin", "layover.js"))
	}
	fail("cannot start "+loader, syscall.Exec(loader, append(args, os.Args[1:]...), os.Environ()))
}

func fail(message string, err error) {
	fmt.Fprintf(os.Stderr, "layover: %s: %v\n", message, err)
	os.Exit(1)
}
