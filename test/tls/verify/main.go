// Verify answers questions on standard input with what Go's crypto/x509 and crypto/tls, the verifier inside docker,
// containerd and podman, make of a certificate:
//
//	verify FILE NAME     is the certificate in FILE good for the name (an address in brackets)?
//	dial ADDRESS NAME    does a handshake that names this server succeed?
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
)

func main() {
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(os.Args[1])
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		fmt.Println("no root:", err)
		os.Exit(1)
	}
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		words := strings.Fields(questions.Text())
		if err := answer(roots, words[0], words[1], words[2]); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
}

func answer(roots *x509.CertPool, verb, subject, name string) error {
	if verb == "verify" {
		return verify(roots, subject, name)
	}
	connection, err := tls.Dial("tcp", subject, &tls.Config{RootCAs: roots, ServerName: name})
	if err != nil {
		return err
	}
	return connection.Close()
}

func verify(roots *x509.CertPool, file, name string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
	return err
}
