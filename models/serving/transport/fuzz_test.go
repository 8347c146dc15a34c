package transport

import (
	"net/http"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzRefusals: whatever a server says when it says no becomes one short line, and a wait that is not negative.
func FuzzRefusals(f *testing.F) {
	for _, body := range []string{
		`{"error":{"message":"This model's maximum context length is 1024 tokens","type":"BadRequestError","code":400}}`,
		`{"error":"slow down"}`, `{"message":"no"}`, `{"detail":"Not Found"}`, `{"detail":[{"loc":["body"],"msg":"field required"}]}`,
		"<html>\n<b>502 Bad Gateway</b></html>", "", "\xff\xfe",
	} {
		f.Add([]byte(body), "7")
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Add([]byte("{}"), now.Add(9*time.Second).Format(http.TimeFormat))
	f.Add([]byte("{}"), "-1e9")
	f.Fuzz(func(t *testing.T, body []byte, after string) {
		s := explanation(body)
		if s == "" || len(s) > 303 || !utf8.ValidString(s) {
			t.Errorf("%q becomes %q", body, s)
		}
		for _, r := range s {
			if r < ' ' {
				t.Errorf("%q becomes %q, which is not one line", body, s)
			}
		}
		if d := retryAfter(after, now); d < 0 {
			t.Errorf("Retry-After %q is %v", after, d)
		}
	})
}
