// The Go library goproxy in the strongest set-up that it can be given: a P-256 authority and P-256 leaf certificates,
// each host's made once whoever asks at the same moment, upstream verified against the given CA, and as many idle
// upstream connections kept as the benchmark opens.
//
//	goproxy CA_CERT.pem CA_KEY.pem UPSTREAM_CA.pem
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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

// leaves makes one certificate a host; a second asker waits for the first one's.
type leaves struct {
	ca   tls.Certificate
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	made sync.Map // host → *leaf
}

type leaf struct {
	once   sync.Once
	config *tls.Config
	err    error
}

func (l *leaves) configFor(hostPort string, _ *goproxy.ProxyCtx) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	value, _ := l.made.LoadOrStore(host, &leaf{})
	entry := value.(*leaf)
	entry.once.Do(func() { entry.config, entry.err = l.mint(host) })
	return entry.config, entry.err
}

func (l *leaves) mint(host string) (*tls.Config, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(0, 0, 90),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, l.root, &l.key.PublicKey, l.ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: l.key}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
}

func main() {
	ca, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	check(err)
	root, err := x509.ParseCertificate(ca.Certificate[0])
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	upstreamCa, err := os.ReadFile(os.Args[3])
	check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(upstreamCa) {
		log.Fatal("no certificate in ", os.Args[3])
	}

	proxy := goproxy.NewProxyHttpServer()
	proxy.Logger = log.New(io.Discard, "", 0)
	proxy.Tr = &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(1024)},
		MaxIdleConnsPerHost: 1024,
		DisableCompression:  true,
	}
	store := &leaves{ca: ca, root: root, key: key}
	intercept := &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: store.configFor}
	proxy.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return intercept, host
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("listening on http://%s\n", listener.Addr())
	check(http.Serve(listener, proxy))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
