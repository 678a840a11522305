<?php
// Asks the gate about one permit application, and says what the licensing software does with the answer.
// PHP 8 with its streams: no curl extension, no library (for https the openssl extension, which PHP usually has).
//
//   GATE_URL=http://127.0.0.1:8000 GATE_KEY=cg.… php periksa.php 503/0123/DPMPTSP/2026 RESTORAN 8120001234567 small 12

declare(strict_types=1);

final class GateProblem extends RuntimeException
{
    /** @param array<mixed> $problem the gate's problem document (RFC 9457); its `errors` name each wrong field */
    public function __construct(public int $status, public array $problem)
    {
        parent::__construct("gate: $status " . ($problem['detail'] ?? 'no answer'));
    }
}

final class Gate
{
    private const TRIES = 4;
    private const PASSING = [0, 409, 429, 502, 503, 504];   // nothing was decided: the same request may be sent again

    public function __construct(private string $url, private string $key, private float $seconds = 15.0)
    {
    }

    /** One check. The same $once is the same check, however often it is sent: keep it beside the application. */
    public function check(array $question, string $once): array
    {
        return $this->call('POST', '/api/v1/checks', $question, ["Idempotency-Key: $once"]);
    }

    public function read(string $id): array
    {
        return $this->call('GET', '/api/v1/checks/' . rawurlencode($id));
    }

    private function call(string $method, string $path, ?array $body = null, array $headers = []): array
    {
        $headers[] = "Authorization: Bearer $this->key";
        $http = ['method' => $method, 'timeout' => $this->seconds, 'ignore_errors' => true, 'follow_location' => 0];
        if ($body !== null) {
            $headers[] = 'Content-Type: application/json';
            $http['content'] = json_encode($body, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
        }
        $context = stream_context_create(['http' => $http + ['header' => $headers]]);
        for ($try = 1; ; $try++) {
            $http_response_header = [];
            $text = @file_get_contents($this->url . $path, false, $context);
            [$status, $pause] = self::head($http_response_header);
            $found = json_decode((string) $text, true);
            if ($status >= 200 && $status < 300 && is_array($found)) {
                return $found;
            }
            if ($try === self::TRIES || !in_array($status, self::PASSING, true)) {
                throw new GateProblem($status, is_array($found) ? $found : []);
            }
            sleep(min($pause ?? 2 ** $try, 60));
        }
    }

    /** @return array{int, ?int} the status (0: no answer came) and Retry-After in seconds */
    private static function head(array $lines): array
    {
        $status = preg_match('~^HTTP/\S+ (\d{3})~', $lines[0] ?? '', $found) ? (int) $found[1] : 0;
        foreach ($lines as $line) {
            if (preg_match('~^Retry-After:\s*(\d+)~i', $line, $found)) {
                return [$status, (int) $found[1]];
            }
        }
        return [$status, null];
    }
}

/** What the clerk and the applicant read. Texts come from the gate; nothing is made up here. */
function shown(array $answer): string
{
    $lines = [$answer['label'] . ($answer['enforced'] || $answer['action'] !== 'PROCEED' ? '' : ' (belum diberlakukan)'),
        $answer['summary']];
    foreach ($answer['findings'] as $finding) {
        $lines[] = "- {$finding['message']}";
        if ($finding['remedy'] !== null) {
            $lines[] = "  {$finding['remedy']}";
        }
    }
    $lines[] = "Kode bukti {$answer['receipt']['code']}: {$answer['receipt']['url']}";
    return implode("\n", $lines) . "\n";
}

if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    [, $reference, $permit, $nib, $scale, $workers] = $argv + [5 => '0'];
    $gate = new Gate((string) getenv('GATE_URL'), (string) getenv('GATE_KEY'));
    try {
        $answer = $gate->check([
            'reference' => $reference,
            'permit_type' => $permit,
            'business' => ['nib' => $nib, 'scale' => $scale],
            'workforce' => ['employs_workers' => (int) $workers > 0, 'declared' => (int) $workers],
        ], "$reference/1");
    } catch (GateProblem $problem) {
        fwrite(STDERR, $problem->getMessage() . "\n");
        foreach ($problem->problem['errors'] ?? [] as $wrong) {
            fwrite(STDERR, "  {$wrong['pointer']}: {$wrong['detail']}\n");
        }
        exit(3);   // no answer: the application waits; it is neither refused nor granted
    }
    echo shown($answer);
    switch ($answer['action']) {   // by the action alone: new verdicts may come, new actions do not
        case 'PROCEED':
            echo "→ lanjutkan; simpan {$answer['id']}\n";
            exit(0);
        case 'STOP':
            echo "→ jangan lanjutkan; serahkan alasan di atas kepada pemohon\n";
            exit(1);
        default:   // HOLD is never a refusal
            echo '→ tahan', $answer['retry_after'] ? "; tanyakan lagi setelah {$answer['retry_after']}" : '; petugas memeriksa', "\n";
            exit(2);
    }
}
