package s3test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is as much of S3 as our store asks for: objects by path, conditional puts, whole uploads of one or more pieces,
// ranges, listings of a thousand keys.
type Server struct {
	mu      sync.Mutex
	objects map[string][]byte
	uploads map[string]map[int][]byte
	// Fault, if set, may answer a request instead: it says whether it has.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// Lose says after which puts the answer is lost: the object is there, the client hears of an error.
	Lose func(r *http.Request) bool
}

// Start starts a server and returns what points a client to it: variables of the environment.
func Start() (f *Server, environment map[string]string, stop func()) {
	f = &Server{objects: map[string][]byte{}, uploads: map[string]map[int][]byte{}}
	server := httptest.NewServer(f)
	return f, map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
	}, server.Close
}

// Refuse answers with an error of S3's.
func Refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

// ServeHTTP implements http.Handler.
func (f *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.Fault != nil && f.Fault(w, r) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	data, there := f.objects[key]
	switch {
	case r.Method == http.MethodGet && query.Has("list-type"):
		f.list(w, query.Get("prefix"), query.Get("continuation-token"))
	case r.Method == http.MethodPost && query.Has("uploads"):
		id := fmt.Sprint("upload-", len(f.uploads))
		f.uploads[id] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>", key, id)
	case r.Method == http.MethodPut && query.Has("partNumber"):
		number, _ := strconv.Atoi(query.Get("partNumber"))
		f.uploads[query.Get("uploadId")][number] = body(r)
		w.Header().Set("ETag", `"piece"`)
	case (r.Method == http.MethodPut || r.Method == http.MethodPost) && r.Header.Get("If-None-Match") == "*" && there:
		Refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == http.MethodPost && query.Has("uploadId"):
		pieces := f.uploads[query.Get("uploadId")]
		var whole []byte
		for n := 1; n <= len(pieces); n++ {
			whole = append(whole, pieces[n]...)
		}
		f.objects[key] = whole
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Key>%s</Key><ETag>whole</ETag></CompleteMultipartUploadResult>", key)
	case r.Method == http.MethodPut:
		data := body(r)
		sum := md5.Sum(data)
		f.objects[key] = data
		if f.Lose != nil && f.Lose(r) {
			Refuse(w, http.StatusInternalServerError, "InternalError")
			return
		}
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		Refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
	}
}

// body is a request's, out of the chunks in which the client signs it.
func body(r *http.Request) []byte {
	data, _ := io.ReadAll(r.Body)
	if !strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
		return data
	}
	var out []byte
	for {
		line, rest, ok := strings.Cut(string(data), "\r\n")
		size, err := strconv.ParseInt(strings.SplitN(line, ";", 2)[0], 16, 64)
		if !ok || err != nil || size == 0 {
			return out
		}
		out = append(out, rest[:size]...)
		data = []byte(rest[size+2:])
	}
}

// list answers with a thousand keys.
func (f *Server) list(w http.ResponseWriter, prefix, after string) {
	type object struct {
		Key, ETag, LastModified string
		Size                    int
	}
	var page struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []object
	}
	var keys []string
	for key := range f.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if len(keys) > 1000 {
		keys = keys[:1000]
		page.IsTruncated, page.NextContinuationToken = true, keys[999]
	}
	for _, key := range keys {
		page.Contents = append(page.Contents, object{key, `"etag"`, "2026-01-02T03:04:05.000Z", len(f.objects[key])})
	}
	_ = xml.NewEncoder(w).Encode(page)
}
