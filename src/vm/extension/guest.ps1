# Berth's driver extension inside a Windows guest; guest.sh says what the verbs do and answer. Put there and called
# through the guest agent, with PowerShell 5, which every supported Windows has.
param([Parameter(Mandatory = $true)][string]$Verb, [Parameter(ValueFromRemainingArguments = $true)][string[]]$Rest)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$failed = 100

function Inspect {
    Get-CimInstance Win32_PnPEntity | Where-Object { $_.PNPDeviceID -like 'PCI\VEN_*' } | ForEach-Object {
        if ($_.PNPDeviceID -match 'VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})') {
            $class = if ($_.CompatibleID -match 'CC_03') { '0x030000' } else { '0x000000' }
            'gpu=0x{0}:0x{1}:{2}' -f $Matches[1].ToLower(), $Matches[2].ToLower(), $class
        }
    }
    $boot = 0
    try { if (Confirm-SecureBootUEFI) { $boot = 1 } } catch { $boot = 0 }
    "secureboot=$boot"
}

function Check([string]$Folder) {
    foreach ($line in Get-Content (Join-Path $Folder 'SHA256SUMS')) {
        if (-not $line) { continue }
        $file = Join-Path $Folder $line.Substring(66)
        if ((Get-FileHash -Algorithm SHA256 $file).Hash.ToLower() -ne $line.Substring(0, 64)) {
            "$($line.Substring(66)): checksum did NOT match"
            exit 1
        }
    }
}

function Start-Installer([string]$Folder, [string[]]$Command) {
    $pidFile = Join-Path $Folder 'pid'
    if (Test-Path $pidFile) { return }
    $quoted = ($Command | ForEach-Object { '"' + $_ + '"' }) -join ' '
    $line = "-NoProfile -ExecutionPolicy Bypass -File `"$PSCommandPath`" run `"$Folder`" $quoted"
    $process = Start-Process powershell.exe -ArgumentList $line -WindowStyle Hidden -PassThru
    Set-Content $pidFile $process.Id
}

function Invoke-Run([string]$Folder, [string[]]$Command) {
    Set-Location $Folder
    $code = $failed
    try {
        $arguments = @($Command | Select-Object -Skip 1)
        switch ($Command[0]) {
            'bundle' { $code = Install-File $arguments[0] @($arguments | Select-Object -Skip 1) }
            'download' { $code = Get-AndInstall $arguments[0] $arguments[1] }
        }
    } catch {
        $_ | Out-File -Append -Encoding utf8 log
        $code = -1
    }
    Set-Content exit.new $code
    Move-Item -Force exit.new exit
}

function Install-File([string]$File, [string[]]$Arguments) {
    if (-not $Arguments) { $Arguments = @('-s', '-n') }
    $path = Join-Path (Get-Location) $File
    $process = if ($File -like '*.ps1') {
        Start-Process powershell.exe -ArgumentList (@('-NoProfile', '-ExecutionPolicy', 'Bypass', '-File', $path) + $Arguments) -Wait -PassThru -WindowStyle Hidden -RedirectStandardOutput log
    } elseif ($File -like '*.msi') {
        Start-Process msiexec.exe -ArgumentList (@('/i', $path, '/qn', '/norestart') + $Arguments) -Wait -PassThru
    } else {
        Start-Process $path -ArgumentList $Arguments -Wait -PassThru -RedirectStandardOutput log
    }
    $process.ExitCode
}

function Get-AndInstall([string]$Url, [string]$CertificateUrl) {
    # Windows Server 2016 offers TLS 1.2 only when asked to.
    [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
    if ($CertificateUrl) {
        Invoke-WebRequest -UseBasicParsing $CertificateUrl -OutFile nvidia.cer
        certutil.exe -addstore TrustedPublisher nvidia.cer | Out-File -Append -Encoding utf8 log
    }
    Invoke-WebRequest -UseBasicParsing $Url -OutFile driver.exe
    Install-File 'driver.exe' @('-s', '-n')
}

function Status([string]$Folder) {
    $exit = Join-Path $Folder 'exit'
    $pidFile = Join-Path $Folder 'pid'
    # Alive first: the exit code is there before the installer is gone.
    $alive = (Test-Path $pidFile) -and (Get-Process -Id (Get-Content $pidFile) -ErrorAction SilentlyContinue)
    if (Test-Path $exit) { 'state=exited'; "code=$(Get-Content $exit)" }
    elseif (-not (Test-Path $pidFile)) { 'state=none' }
    elseif ($alive) { 'state=running' }
    else { 'state=lost' }
    'log:'
    $log = Join-Path $Folder 'log'
    if (Test-Path $log) { Get-Content $log -Tail 40 }
}

function Version {
    $tool = @("$env:SystemRoot\System32\nvidia-smi.exe", "$env:ProgramFiles\NVIDIA Corporation\NVSMI\nvidia-smi.exe") | Where-Object { Test-Path $_ } | Select-Object -First 1
    if ($tool) { 'version=' + (& $tool --query-gpu=driver_version --format=csv,noheader | Select-Object -First 1) }
}

function Note([string]$State, [string]$Code, [string]$Message) {
    $folder = 'C:\Packages\Plugins\Microsoft.HpcCompute.NvidiaGpuDriverWindows\Status'
    New-Item -ItemType Directory -Force $folder | Out-Null
    $status = @{ status = @{ name = 'NvidiaGpuDriverWindows'; operation = 'Enable Extension'; status = $State; code = [int]$Code; formattedMessage = @{ lang = 'en-US'; message = $Message } } }
    ConvertTo-Json @($status) -Depth 5 | Set-Content (Join-Path $folder '0.status')
}

switch ($Verb) {
    'inspect' { Inspect }
    'check' { Check $Rest[0] }
    'start' { Start-Installer $Rest[0] @($Rest | Select-Object -Skip 1) }
    'run' { Invoke-Run $Rest[0] @($Rest | Select-Object -Skip 1) }
    'status' { Status $Rest[0] }
    'version' { Version }
    'note' { Note $Rest[0] $Rest[1] $Rest[2] }
    'forget' { Remove-Item -Recurse -Force -ErrorAction SilentlyContinue $Rest[0] }
    default { Write-Error "unknown verb: $Verb"; exit 1 }
}
