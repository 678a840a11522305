<?php
// Receives what the gate tells: final answers of checks that had to wait, ends of batches, changes of watched permits.
//
//   GATE_WEBHOOK_SECRET=whsec_… INBOX=/var/lib/perizinan/gate php -S 127.0.0.1:8090 webhook.php

declare(strict_types=1);

/** Whether the gate signed this body within the last five minutes. */
function signed(string $header, string $body, string $secret, int $now): bool
{
    if (!preg_match('~^t=(\d{1,12}),v1=([0-9a-f]{64})$~', $header, $found) || abs($now - (int) $found[1]) > 300) {
        return false;
    }
    return hash_equals(hash_hmac('sha256', "$found[1].$body", $secret), $found[2]);
}

$body = (string) file_get_contents('php://input');
$delivery = $_SERVER['HTTP_X_GATE_DELIVERY'] ?? '';
if (!signed($_SERVER['HTTP_X_GATE_SIGNATURE'] ?? '', $body, (string) getenv('GATE_WEBHOOK_SECRET'), time())
    || !preg_match('~^[a-z0-9.]{1,64}$~', $delivery)) {
    http_response_code(401);
    exit;
}
// Keep it under its id and answer at once; a program of your own works on it. The gate repeats what was not taken, and
// may repeat what was: the same id is the same message.
$file = getenv('INBOX') . "/$delivery.json";
$kept = file_put_contents("$file.new", json_encode(['event' => $_SERVER['HTTP_X_GATE_EVENT'], 'document' => json_decode($body)]));
http_response_code($kept !== false && rename("$file.new", $file) ? 204 : 500);
