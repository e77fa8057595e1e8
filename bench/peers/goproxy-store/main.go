// The Go library goproxy as its own signer has it, for the store experiment (its pull request 330): an RSA authority,
// an RSA-2048 leaf made at each connection, or, with "store", once a host whoever asks at the same moment.
//
//	goproxy-store none|store CA_OUT.pem UPSTREAM_CA.pem
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/elazarl/goproxy"
)

type leaf struct {
	once   sync.Once
	config *tls.Config
	err    error
}

func main() {
	ca := makeAuthority(os.Args[2])
	upstreamCa, err := os.ReadFile(os.Args[3])
	check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(upstreamCa) {
		log.Fatal("no certificate in ", os.Args[3])
	}
	proxy := goproxy.NewProxyHttpServer()
	proxy.Logger = log.New(io.Discard, "", 0)
	proxy.Tr = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 1024}

	make := goproxy.TLSConfigFromCA(&ca)
	configFor := make
	if os.Args[1] == "store" {
		var made sync.Map
		configFor = func(hostPort string, ctx *goproxy.ProxyCtx) (*tls.Config, error) {
			value, _ := made.LoadOrStore(hostPort, &leaf{})
			entry := value.(*leaf)
			entry.once.Do(func() { entry.config, entry.err = make(hostPort, ctx) })
			return entry.config, entry.err
		}
	}
	intercept := &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: configFor}
	proxy.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return intercept, host
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("listening on http://%s\n", listener.Addr())
	check(http.Serve(listener, proxy))
}

func makeAuthority(path string) tls.Certificate {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "bench goproxy CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(0, 0, 30),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	check(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
